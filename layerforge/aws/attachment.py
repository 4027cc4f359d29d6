"""What a function would hold, and all that Lambda would say against it: pure.

https://docs.aws.amazon.com/lambda/latest/dg/gettingstarted-limits.html
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace

from layerforge.aws.budget import Budget
from layerforge.aws.functions import LATEST, Function, HeldLayer
from layerforge.aws.names import Layers
from layerforge.aws.versions import PublishedVersion
from layerforge.errors import ConfigError, PublishError
from layerforge.limits import MOST_LAYERS, UNZIPPED_LIMIT

Measure = Callable[[Function], Budget]


@dataclass(frozen=True, slots=True, kw_only=True)
class Wish:
    """A layer version that a function is to hold.

    It takes the place of another version of its layer, of one of ``layers``, which are
    the same layer for other targets, and of ``old`` ones.
    """

    version: PublishedVersion
    layers: Layers
    old: Layers | None = None

    @property
    def layer(self) -> HeldLayer:
        """The version, as a function that holds it names it."""
        return HeldLayer(arn=self.version.arn, zipped=self.version.zipped)

    def replaces(self, held: HeldLayer) -> bool:
        """Say whether the version is to stand where ``held`` stands."""
        return (
            held.layer == self.layer.layer
            or self.layers.owns(held)
            or (self.old is not None and held in self.old)
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class Attachment:
    """What wishes mean for a function: ``after`` are its layers then, in order.

    With ``refusals`` it can't be. ``budget`` is None where that was known without it.
    """

    function: Function
    wishes: tuple[Wish, ...]
    after: tuple[HeldLayer, ...]
    refusals: tuple[str, ...] = ()
    warnings: tuple[str, ...] = ()
    budget: Budget | None = None

    @property
    def changes(self) -> bool:
        """Say whether there is anything to do."""
        return arns_of(self.after) != arns_of(self.function.layers)


def plan_attachment(
    function: Function, wishes: Sequence[Wish], measure: Measure
) -> Attachment:
    """Say what a function would hold, and all that speaks against it.

    ``measure`` is asked only where nothing else does.
    """
    after = _layers_after(function.layers, wishes)
    planned = Attachment(function=function, wishes=tuple(wishes), after=after)
    if not planned.changes:
        return planned
    if refusals := tuple(_refusals(planned)):
        return replace(planned, refusals=refusals)
    budget = measure(replace(function, layers=after))
    return replace(
        planned,
        refusals=tuple(_too_large(budget)),
        warnings=(*hidden_layers(function), *_unmeasured(budget)),
        budget=budget,
    )


def choose(
    function: Function, layers: Layers, candidates: Sequence[PublishedVersion]
) -> Wish:
    """Choose the one version that is for a function's runtime and architecture.

    Raises `ConfigError` where there is none, or more than one.
    """
    fitting = [
        version
        for version in candidates
        if not any(_unsuitable(Wish(version=version, layers=layers), function))
    ]
    # Where nothing can be chosen, the plan says why.
    if len(fitting) == 1 or len(candidates) == 1 or not function.runtime:
        return Wish(version=(fitting or candidates)[0], layers=layers)
    names = ", ".join(f"{one.layer}:{one.version}" for one in fitting or candidates)
    which = "more than one" if fitting else "none"
    raise ConfigError(
        f"of {layers.word}'s layers, {which} is for {function} in {function.region}, "
        f"which runs {function.runtime} on {function.architecture}: {names}",
        remedy="Name the one that is meant, as it is called on AWS."
        if fitting
        else "Publish it for that runtime and architecture.",
    )


def refusal(planned: Attachment) -> PublishError | None:
    """Give all that speaks against a plan as an error, if anything does."""
    if not planned.refusals:
        return None
    reasons = "\n  ".join(planned.refusals)
    function = planned.function
    return PublishError(
        f"its layers stay as they are:\n  {reasons}",
        remedy=f"See what it holds: layerforge budget --function {function.name} "
        f"--region {function.region}",
    )


def _layers_after(
    held: Sequence[HeldLayer], wishes: Sequence[Wish]
) -> tuple[HeldLayer, ...]:
    """Put wished versions where others of their layers are, or at the end."""
    after = list(held)
    wished = {wish.version.arn for wish in wishes}
    for wish in wishes:
        places = [
            place
            for place, layer in enumerate(after)
            if layer.arn == wish.version.arn
            or (wish.replaces(layer) and layer.arn not in wished)
        ]
        at = places[0] if places else len(after)
        rest = [layer for place, layer in enumerate(after) if place not in places]
        after = [*rest[:at], wish.layer, *rest[at:]]
    return tuple(after)


def _refusals(planned: Attachment) -> Iterator[str]:
    function, after = planned.function, planned.after
    if not function.runtime:
        yield "it is a container image, which holds no layers"
    if function.version != LATEST:
        yield f"a published version can't be changed, only {LATEST}"
    if len(after) > MOST_LAYERS:
        names = ", ".join(map(str, after))
        yield f"{len(after)} layers, where {MOST_LAYERS} are the most: {names}"
    for place, layer in enumerate(after):
        for other in after[:place]:
            if layer.layer == other.layer:
                yield f"{other} and {layer} are versions of one layer"
    for wish in planned.wishes:
        yield from _unsuitable(wish, function)


def _unsuitable(wish: Wish, function: Function) -> Iterator[str]:
    version = wish.version
    for noun, offered, own in (
        ("in", (version.region,), function.region),
        ("for", version.runtimes, function.runtime),
        ("for", version.architectures, function.architecture),
    ):
        if offered and own and own not in offered:
            yield f"{wish.layer} is {noun} {', '.join(offered)}, the function {own}"


def _too_large(budget: Budget) -> Iterator[str]:
    if budget.left < 0:
        sizes = ", ".join(
            f"{part.title} {part.unzipped}" for part in budget.parts if part.unzipped
        )
        yield (
            f"{budget.used} bytes unzipped, {-budget.left} too many: code and layers "
            f'must be smaller than {UNZIPPED_LIMIT} together, Lambda\'s "250 MB" '
            f"({sizes})"
        )


def hidden_layers(function: Function) -> Iterator[str]:
    """Warn where a function's own search path leaves out what its layers bring."""
    variable, path = function.search_variable, function.search_path
    if path and "/opt/" not in path:
        yield (
            f"{function} sets {variable} itself: {path}. The runtime then adds no "
            "folder of layers to it, and nothing of them is found"
        )


def _unmeasured(budget: Budget) -> Iterator[str]:
    for part in budget.unknown:
        yield (
            f"{budget.function}: how much {part.title} has unzipped isn't known "
            f"({part.reason}); Lambda will say whether all fits"
        )


def arns_of(layers: Sequence[HeldLayer]) -> tuple[str, ...]:
    """Name layers as the API does."""
    return tuple(layer.arn for layer in layers)
