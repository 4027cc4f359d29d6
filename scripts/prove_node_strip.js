// Runs what stands in a JSON list on stdin, [how, what], and appends each one's error, or
// "", to a file. Given to node -e, whose code asks for packages from the working folder.

const { appendFileSync, readFileSync } = require("node:fs");
const Lines = (async () => {}).constructor;
process.exit = (status) => { throw new Error(`process.exit(${status})`); };
process.on("uncaughtException", () => {});
process.on("unhandledRejection", () => {});

async function load(name) {
  try { return require(name); }
  catch (refusal) {
    return import(name).catch(() => { throw refusal; });
  }
}
const run = (lines) => new Lines("require", "load", lines)(require, load);
const late = () => new Promise((_, no) =>
  setTimeout(no, 20_000, new Error("not done after 20 seconds")));

(async () => {
  for (const [how, what] of JSON.parse(readFileSync(0, "utf8"))) {
    let error = "";
    try { await Promise.race([how === "load" ? load(what) : run(what), late()]); }
    catch (problem) { error = String(problem).split("\n")[0] || "an error"; }
    appendFileSync(process.argv[1], JSON.stringify(error) + "\n");
  }
  process.reallyExit(0);
})();
