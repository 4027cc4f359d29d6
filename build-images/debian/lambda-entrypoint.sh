#!/bin/sh
# Starts the runtime with a handler (app.handler): under the runtime interface emulator,
# unless AWS_LAMBDA_RUNTIME_API says that something else gives the events.
if [ $# -ne 1 ]; then
    echo "lambda-entrypoint.sh: expected one argument, the handler" >&2
    exit 142
fi
export _HANDLER="$1"

if [ -n "${AWS_LAMBDA_RUNTIME_API:-}" ]; then
    exec /var/runtime/bootstrap
fi
exec /usr/local/bin/aws-lambda-rie /var/runtime/bootstrap
