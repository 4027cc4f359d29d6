// Has a layer's modules loaded in a runtime, one by one, and says how that went.
//
// Run by the runtime's Node.js with a JSON file: {"modules", "handler", "folders",
// "entrypoint", "seconds", "refuses"}. The modules are loaded in their order in one
// process, as a function would; where one takes the process with it, the others go on in
// the next. With `refuses`, require() has no ES modules, as in that runtime. Writes one
// JSON document between two marks. Nothing but Node's own modules, and no later than
// Node.js 18.

import { spawn } from "node:child_process";
import fs from "node:fs";
import http from "node:http";
import net from "node:net";
import os from "node:os";
import path from "node:path";
import readline from "node:readline";

const PORT = 8080;
const PATH = "/2015-03-31/functions/function/invocations";
const STARTING = 60_000; // milliseconds until the emulator listens; it takes less than one
const LINES = 12; // of a log: where a process crashed, the first say where
const LONGEST_LOG = 64 << 10; // bytes
// What the emulator says of itself, and Node's own part in a trace.
const NOISE = /\(rapid\)|^(START|END|REPORT|INIT_\w+) |node:internal|_layerforge_probe/;
const UNCAUGHT = /^(Uncaught )?[A-Z]\w*Error\b|^Error\b/; // how it ends a process
const ALONE = 20; // failures that are tried again by themselves
const MARKS = ["<<<layerforge probe", "layerforge probe>>>"];
const REFUSING = "--no-experimental-require-module"; // since 22; 18 needs none
// As strsignal(3) has them.
const SIGNALS = {
  SIGABRT: "aborted",
  SIGBUS: "bus error",
  SIGFPE: "floating point exception",
  SIGILL: "illegal instruction",
  SIGKILL: "killed",
  SIGSEGV: "segmentation fault",
  SIGTERM: "terminated",
};

// The process that loads ended, or answers no more.
class Gone extends Error {}

// The image has no emulator, or one that doesn't start.
class Absent extends Error {}

// What a process prints, read from where it was last forgotten.
class Log {
  #from = 0;

  constructor() {
    const folder = fs.mkdtempSync(path.join(os.tmpdir(), "layerforge-"));
    this.file = fs.openSync(path.join(folder, "log"), "a+");
    fs.rmSync(folder, { recursive: true });
  }

  forget() {
    this.#from = fs.fstatSync(this.file).size;
  }

  // Give the first lines that tell something.
  lines() {
    const buffer = Buffer.alloc(LONGEST_LOG);
    const length = fs.readSync(this.file, buffer, 0, LONGEST_LOG, this.#from);
    const lines = buffer.toString("utf8", 0, length).split(/\r?\n/);
    return lines.filter((line) => line.trim() && !NOISE.test(line)).slice(0, LINES);
  }
}

// The runtime interface client, under Lambda's emulator.
class Emulator {
  emulated = true;
  #log = new Log();
  #process;

  constructor(asked) {
    this.asked = asked;
  }

  // Invoke the function; throws Absent where there is no emulator.
  async ask(event) {
    await this.#start();
    this.#log.forget();
    const said = await post(JSON.stringify(event), this.asked.seconds);
    let answer;
    try {
      answer = JSON.parse(said);
    } catch {
      throw new Gone(said.trim() || "it ended without an answer");
    }
    if (!("peak" in Object(answer))) throw new Gone(reason(answer));
    return answer;
  }

  // End the emulator, which ends its runtime.
  async stop() {
    const process = this.#process;
    this.#process = undefined;
    if (!process || process.ended) return;
    process.kill("SIGTERM");
    const timer = setTimeout(() => process.kill("SIGKILL"), 5000);
    await process.ending;
    clearTimeout(timer);
  }

  log() {
    return this.#log.lines();
  }

  async #start() {
    if (this.#process) return;
    const { entrypoint, handler, seconds } = this.asked;
    if (!fs.existsSync(entrypoint)) throw new Absent("there is none");
    const name = path.basename(handler, path.extname(handler));
    this.#process = started(entrypoint, [`${name}.handler`], {
      stdio: ["ignore", this.#log.file, this.#log.file],
      env: { ...process.env, AWS_LAMBDA_FUNCTION_TIMEOUT: String(seconds) },
    });
    const deadline = Date.now() + STARTING;
    while (!(await listens())) {
      if (this.#process.ended || Date.now() > deadline) {
        throw new Absent(this.log().join("; "));
      }
      await sleep(10);
    }
  }
}

// The handler as a program of its own, where there is no emulator.
class Plain {
  emulated = false;
  #log = new Log();
  #process;
  #answers;

  constructor(asked) {
    this.asked = asked;
  }

  // Send a line, and wait for one.
  async ask(event) {
    const child = this.#started();
    this.#log.forget();
    child.stdio[3].write(`${JSON.stringify(event)}\n`);
    const { seconds } = this.asked;
    let timer;
    const late = new Promise((done) => {
      timer = setTimeout(done, seconds * 1000, { value: null });
    });
    const { value, done } = await Promise.race([this.#answers.next(), late]);
    clearTimeout(timer);
    if (value === null) throw new Gone(`timed out after ${seconds} seconds`);
    if (done) throw new Gone(status(await child.ending));
    return JSON.parse(value);
  }

  // End the process, whatever it does.
  async stop() {
    const child = this.#process;
    this.#process = undefined;
    if (!child) return;
    child.kill("SIGKILL");
    await child.ending;
  }

  log() {
    return this.#log.lines();
  }

  #started() {
    if (this.#process) return this.#process;
    const { folders, handler, refuses } = this.asked;
    const known = process.allowedNodeEnvironmentFlags.has(REFUSING);
    const flags = refuses && known ? [REFUSING] : [];
    const child = started(process.execPath, [...flags, handler], {
      stdio: ["ignore", this.#log.file, this.#log.file, "pipe"],
      env: { ...process.env, NODE_PATH: folders.join(path.delimiter) },
    });
    child.stdio[3].on("error", () => {}); // it ended: asking tells how
    const lines = readline.createInterface({ input: child.stdio[3] });
    this.#answers = lines[Symbol.asyncIterator]();
    this.#process = child;
    return child;
  }
}

async function main() {
  const asked = JSON.parse(fs.readFileSync(process.argv[2], "utf8"));
  const document = JSON.stringify(await probe(asked));
  process.stdout.write([MARKS[0], document, MARKS[1], ""].join("\n"));
}

// Start a runtime, load all modules, and try those again that failed.
async function probe(asked) {
  const start = performance.now();
  const [runtime, first] = await begun(asked);
  const { emulated } = runtime;
  const milliseconds = performance.now() - start;
  if ("failure" in first) {
    await runtime.stop();
    return { emulated, ...first };
  }
  const answers = [];
  for (const module of asked.modules) answers.push(await tried(runtime, module));
  const peak = Math.max(first.peak, ...answers.map((answer) => answer.peak ?? 0));
  for (const answer of answers.filter(mayClash).slice(0, ALONE)) {
    await runtime.stop();
    answer.alone = !("error" in (await tried(runtime, answer.module)));
  }
  await runtime.stop();
  return { emulated, init: rounded(milliseconds), peak, modules: answers };
}

// Give a runtime, and its answer to a question that loads nothing.
async function begun(asked) {
  const emulator = new Emulator(asked);
  try {
    return [emulator, await emulator.ask({})];
  } catch (error) {
    if (error instanceof Gone) return [emulator, failure(error, emulator)];
    if (!(error instanceof Absent)) throw error;
    await emulator.stop();
  }
  const plain = new Plain(asked);
  try {
    return [plain, await plain.ask({})];
  } catch (error) {
    if (!(error instanceof Gone)) throw error;
    return [plain, failure(error, plain)];
  }
}

function failure(error, runtime) {
  return { failure: error.message, log: runtime.log() };
}

async function tried(runtime, module) {
  const start = performance.now();
  try {
    return await runtime.ask({ module });
  } catch (error) {
    if (!(error instanceof Gone || error instanceof Absent)) throw error;
    await runtime.stop();
    const trace = runtime.log();
    return {
      module,
      milliseconds: rounded(performance.now() - start),
      memory: 0,
      error: "Crash",
      message: error.message,
      missing: "",
      cause: trace.find((line) => UNCAUGHT.test(line)) ?? "",
      trace,
    };
  }
}

// Say whether a module that failed might do better by itself.
function mayClash(answer) {
  return "error" in answer && !answer.missing && !answer.message.includes("timed out");
}

// Start a process; `ending` is a promise of its status and signal.
function started(command, words, options) {
  const child = spawn(command, words, options);
  child.ended = false;
  child.ending = new Promise((done) => {
    const end = (code, signal) => {
      child.ended = true;
      done([code, signal]);
    };
    child.once("exit", end);
    child.once("error", () => end(127, null));
  });
  return child;
}

// The emulator keeps the time; this is for where it doesn't answer at all.
function post(event, seconds) {
  return new Promise((done, fail) => {
    const gone = (error) => fail(new Gone(`${error.name}: ${error.message}`));
    const options = { host: "127.0.0.1", port: PORT, path: PATH, method: "POST" };
    const request = http.request(options, (response) => {
      const parts = [];
      response.on("data", (part) => parts.push(part));
      response.on("end", () => done(Buffer.concat(parts).toString()));
      response.on("error", gone);
    });
    request.setTimeout((seconds + 30) * 1000, () => {
      request.destroy(new Error(`timed out after ${seconds} seconds`));
    });
    request.on("error", gone);
    request.end(event);
  });
}

// Find what the emulator says of a function that failed.
function reason(answer) {
  const said = answer?.errorMessage;
  return said === undefined ? JSON.stringify(answer) : said.replace(/^.*Error: /s, "") || said;
}

function status([code, signal]) {
  if (signal) return `signal: ${SIGNALS[signal] ?? signal.toLowerCase()}`;
  return `exit status ${code}`;
}

function listens() {
  return new Promise((done) => {
    const socket = net.connect(PORT, "127.0.0.1");
    socket.setTimeout(1000, () => socket.destroy());
    socket.once("connect", () => {
      socket.destroy();
      done(true);
    });
    socket.once("error", () => done(false));
    socket.once("close", () => done(false));
  });
}

const sleep = (milliseconds) => new Promise((done) => setTimeout(done, milliseconds));
const rounded = (milliseconds) => Math.round(milliseconds * 1000) / 1000;

await main();
