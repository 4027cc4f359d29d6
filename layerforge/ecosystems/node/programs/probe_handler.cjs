// The function that proves a layer: it loads what its event names, and measures.
//
// The runtime interface client calls `handler`. Run as a program, it answers lines of
// JSON with lines of JSON instead, on descriptor 3. Nothing but Node's own modules, and
// no later than Node.js 18.
"use strict";

const fs = require("node:fs");
const net = require("node:net");
const os = require("node:os");
const path = require("node:path");
const readline = require("node:readline");
const { pathToFileURL } = require("node:url");

const PROGRAM = require.main === module;
const LINES = 8; // of a trace: the first say where it went wrong
const LONGEST = 2000; // characters of a message
// What require() says of a package that is for import alone.
const FOR_IMPORT = new Set([
  "ERR_PACKAGE_PATH_NOT_EXPORTED",
  "ERR_REQUIRE_ASYNC_MODULE",
  "ERR_REQUIRE_ESM",
]);
const OWN = /node:internal|_layerforge_probe/; // in a trace: Node's part, and this program's
const NOT_FOUND = new Set(["ERR_MODULE_NOT_FOUND", "MODULE_NOT_FOUND"]);

// Held fast: a package may put others in their places.
const { parse, stringify } = JSON;
const { memoryUsage, resourceUsage } = process;
const exit = process.exit.bind(process);
const now = performance.now.bind(performance);
const turn = setImmediate;

// NODE_PATH alone, as for what lies in /opt: no node_modules that is near by accident.
if (PROGRAM) module.paths.length = 0;

// Load event.module, if it names one, and say how that went.
exports.handler = async (event) => {
  const answer = event.module ? await load(event.module) : {};
  const peak = resourceUsage.call(process).maxRSS * 1024;
  return { module: event.module ?? null, peak, ...answer };
};

// Give milliseconds, growth in bytes, and what was thrown.
async function load(name) {
  const before = memoryUsage.rss();
  const start = now();
  let failure = {};
  try {
    await bring(name);
    await new Promise((done) => turn(done)); // what fails at once, but later
  } catch (error) {
    failure = described(error, name);
  }
  const milliseconds = Math.round((now() - start) * 1000) / 1000;
  const memory = Math.max(0, memoryUsage.rss() - before);
  return { milliseconds, memory, ...failure };
}

// Require a module, or import it where require() refuses.
async function bring(name) {
  try {
    require(name);
  } catch (error) {
    if (!FOR_IMPORT.has(error?.code)) throw error;
    await imported(name);
  }
}

// Lambda's Node.js has import look through NODE_PATH, as require does; any other doesn't.
async function imported(name) {
  if (!PROGRAM) {
    try {
      await import(name);
      return;
    } catch (error) {
      if (!String(error?.message).includes(` imported from ${__filename}`)) throw error;
    }
  }
  const bringing = await importer(folderOf(name));
  await bringing(name);
}

// Say which folder of NODE_PATH has a module's package.
function folderOf(name) {
  const [first, second] = name.split("/");
  const folder = first.startsWith("@") ? `${first}/${second}` : first;
  const places = (process.env.NODE_PATH ?? "").split(path.delimiter);
  return places.find((place) => fs.existsSync(path.join(place, folder))) ?? places[0];
}

// Give an import() that stands beside a folder of modules; Node.js follows the link.
async function importer(place) {
  const folder = fs.mkdtempSync(path.join(os.tmpdir(), "layerforge-"));
  fs.symlinkSync(place, path.join(folder, "node_modules"));
  const program = path.join(folder, "importer.mjs");
  fs.writeFileSync(program, "export const bring = (name) => import(name);\n");
  const { bring: bringing } = await import(pathToFileURL(program).href);
  fs.rmSync(program);
  return bringing;
}

// Say what was thrown, which may be anything, and where it comes from.
function described(error, name) {
  const cause = first(error);
  const lost = missing(cause, name);
  return {
    error: kindOf(error),
    message: textOf(error),
    code: String(error?.code ?? ""),
    missing: missing(error, name) || (lost === name ? lost : ""),
    cause: cause === error ? "" : `${kindOf(cause)}: ${textOf(cause)}`,
    trace: traceOf(error),
  };
}

// Find the error that others were thrown because of.
function first(error) {
  const seen = [error];
  for (;;) {
    const before = seen.at(-1)?.cause;
    if (!(before instanceof Error) || seen.includes(before)) return seen.at(-1);
    seen.push(before);
  }
}

// Name the module that wasn't found, if an error says that: `name`, where it is a part of
// what lies in the layer, and nothing for a file elsewhere.
function missing(error, name) {
  if (!NOT_FOUND.has(error?.code)) return "";
  const lost = /'([^']+)'/.exec(String(error.message))?.[1] ?? "";
  if (/^\.{1,2}\//.test(lost)) return name;
  if (!/^(\/|file:)/.test(lost)) return lost;
  return lost.includes("/node_modules/") ? name : "";
}

function kindOf(error) {
  return error instanceof Error || error?.name ? String(error.name) : "thrown";
}

function textOf(error) {
  const text = String(error?.message ?? error);
  return text.split("\nRequire stack:")[0].trim().slice(0, LONGEST);
}

function traceOf(error) {
  const lines = String(error?.stack ?? "").split("\n");
  const told = lines.filter((line) => line.trim() && !OWN.test(line));
  return told.slice(0, LINES).map((line) => line.slice(0, LONGEST));
}

function serve() {
  const channel = new net.Socket({ fd: 3, readable: true, writable: true });
  const write = channel.write.bind(channel);
  const questions = readline.createInterface({ input: channel });
  questions.on("close", () => exit());
  questions.on("line", async (line) => {
    write(`${stringify(await exports.handler(parse(line)))}\n`);
  });
}

if (PROGRAM) serve();
