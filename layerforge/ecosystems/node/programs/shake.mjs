// Follows a layer's entry points with @vercel/nft, which runs none of them, and says
// which of the layer's files they lead to.
//
// Run with a JSON file: {"nft", "layer", "base", "entryPoints", "cpu"}, all paths real.
// `base` is the folder in the layer whose node_modules answer a function. Writes a JSON
// document: {"reached", "missing", "unread"}.

import fs from "node:fs";
import os from "node:os";
import path from "node:path";
import { createRequire } from "node:module";

const question = JSON.parse(fs.readFileSync(process.argv[2], "utf8"));
const { nft, layer, base, entryPoints, cpu } = question;
const CODE = /\.[cm]?js$/;
const FOREIGN_SCHEME = /^(?!node:)[a-z][a-z\d+.-]*:/; // what other runtimes have, or data
const MODULES = `${path.sep}node_modules${path.sep}`;

// It evaluates what code says of the machine: that is Lambda's, wherever this runs.
Object.defineProperty(process, "platform", { value: "linux" });
Object.defineProperty(process, "arch", { value: cpu });
os.platform = () => "linux";
os.arch = () => cpu;
os.type = () => "Linux";

const { nodeFileTrace, resolve } = createRequire(import.meta.url)(nft);
const function_ = path.join(base, "function.js"); // it stands for any
const missing = new Map();

const inLayer = (file) => file.startsWith(layer + path.sep);
const isBare = (name) => !/^(\.{0,2}\/|\.{1,2}$|#)/.test(name);

// What an installation near the entry points has is no part of the layer.
const isForeign = (file) => !inLayer(file) && file.includes(MODULES);

// Find a module as a function finds it: beside who asks for it, else in NODE_PATH.
async function resolved(asked, parent, job, required) {
  const name = asked.startsWith("/opt/") ? path.join(layer, asked.slice(5)) : asked;
  const places = isBare(name) ? [function_] : [parent];
  if (isBare(name) && inLayer(parent)) places.unshift(parent);
  for (const place of places) {
    const found = await tried(name, place, job, required);
    if (found.length && !found.some(isForeign)) return found;
  }
  if (!FOREIGN_SCHEME.test(name)) {
    missing.set(`${asked}\0${parent}`, { name: asked, parent: told(parent) });
  }
  throw new Error("not found");
}

async function tried(name, parent, job, required) {
  try {
    return [await resolve(name, parent, job, required)].flat();
  } catch {
    return [];
  }
}

const told = (file) => (inLayer(file) ? path.relative(layer, file) : file);

// Tell what code couldn't be read, and why: such a file leads nowhere.
function* unread(warnings) {
  for (const { message } of warnings) {
    const [, file, why] = /^Failed to parse (.*) as module:\n(.*)/.exec(message) ?? [];
    if (file && CODE.test(file)) yield { file: told(file), why };
  }
}

const { fileList, warnings } = await nodeFileTrace(entryPoints, {
  base: path.parse(layer).root,
  processCwd: path.join(layer, "nowhere"), // a function stands outside of its layers
  conditions: ["node", "node-addons"],
  resolve: resolved,
});
const files = [...fileList].map((file) => path.join(path.parse(layer).root, file));
const document = {
  reached: files.filter(inLayer).map(told).sort(),
  missing: [...missing.keys()].sort().map((key) => missing.get(key)),
  unread: [...unread(warnings)].sort((a, b) => (a.file < b.file ? -1 : 1)),
};
process.stdout.write(JSON.stringify(document));
