// Run in the build container, by the target's own Node.js: runs a package's install
// scripts, and gives the package as they leave it.
//
//     rebuild.cjs PLACE [NESTED]...     /work/out/package.tgz
//
// PLACE is the package's folder below /work/layer; NESTED are those of packages that
// stand inside of it and have archives of their own. What is said goes to stderr.

"use strict";

const { spawnSync } = require("node:child_process");
const fs = require("node:fs");
const path = require("node:path");
const { gzipSync } = require("node:zlib");

const LAYER = "/work/layer";
const OUTPUT = "/work/out/package.tgz";
const TOOLS = path.dirname(process.argv0);

// What node-gyp and make leave of their work, and no addon loads.
const INTERMEDIATE =
  /^build-tmp-[^/]*\/|^build\/(node_gyp_bins\/|config\.gypi$|(.*[/.])?Makefile$|.*\.mk$|(Release|Debug)\/(\.deps|obj|obj\.target)\/|(Release|Debug)\/.*\.(a|stamp)$)/;

function environment() {
  const found = {
    ...process.env,
    PATH: `${TOOLS}:${process.env.PATH}`,
    CI: "1", // nobody is there to be asked
    JOBS: "max", // node-gyp's, for make
    npm_config_audit: "false",
    npm_config_fund: "false",
    npm_config_loglevel: "error",
    npm_config_update_notifier: "false",
  };
  // Lambda's images have the headers of their Node.js; else node-gyp fetches them.
  const prefix = path.dirname(path.dirname(process.execPath));
  if (fs.existsSync(path.join(prefix, "include/node/node_version.h"))) {
    found.npm_config_nodedir = prefix;
  }
  return found;
}

function run(program, words, options) {
  const { error, status, signal } = spawnSync(program, words, {
    cwd: LAYER,
    stdio: ["pipe", 2, 2],
    ...options,
  });
  if (error) throw error;
  if (signal) process.kill(process.pid, signal);
  if (status) process.exit(status);
}

function* filesOf(folder, apart, inner = "") {
  for (const entry of fs.readdirSync(path.join(folder, inner), { withFileTypes: true })) {
    const name = path.join(inner, entry.name);
    if (entry.isDirectory()) {
      if (!apart.has(path.join(folder, name))) yield* filesOf(folder, apart, name);
    } else if (entry.isFile() && !INTERMEDIATE.test(name)) {
      yield name;
    }
  }
}

const [place, ...nested] = process.argv.slice(2);
const folder = path.join(LAYER, place);
const apart = new Set(nested.map((other) => path.join(LAYER, other)));
const env = environment();

// Scripts call programs of their dependencies by name.
run("npm", ["rebuild", "--ignore-scripts"], { env });
run("npm", ["rebuild", `./${place}`, "--foreground-scripts"], { env });

const names = [...filesOf(folder, apart)].sort();
run(
  "tar",
  [
    ...["--create", "--file", "/work/package.tar", "--format=gnu", "--null"],
    ...["--no-recursion", "--hard-dereference", "--owner=0", "--group=0", "--numeric-owner"],
    ...["--mtime=@946684800", "--files-from=-"],
  ],
  {
    cwd: path.dirname(folder),
    input: names.map((name) => `${path.basename(folder)}/${name}\0`).join(""),
  },
);
fs.writeFileSync(OUTPUT, gzipSync(fs.readFileSync("/work/package.tar"), { level: 1 }));
