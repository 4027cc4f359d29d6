// Serves events until the process is ended: the runtime API of AWS Lambda
// (https://docs.aws.amazon.com/lambda/latest/dg/runtimes-api.html), as far as tests go.

import { existsSync } from "node:fs";
import { join } from "node:path";
import { pathToFileURL } from "node:url";

const API = `http://${process.env.AWS_LAMBDA_RUNTIME_API}/2018-06-01/runtime`;

async function load() {
  const [, stem, name] = process.env._HANDLER.match(/^(.*)\.([^.]*)$/);
  const places = [".js", ".mjs", ".cjs"].map((ending) =>
    join(process.env.LAMBDA_TASK_ROOT, stem + ending),
  );
  const file = places.find(existsSync);
  if (!file) throw new Error(`Cannot find module '${stem}'`);
  const module = await import(pathToFileURL(file));
  return module[name] ?? module.default[name];
}

function send(path, value) {
  return fetch(`${API}/${path}`, { method: "POST", body: JSON.stringify(value) ?? "null" });
}

function told(error) {
  return {
    errorType: error.name,
    errorMessage: error.message,
    trace: error.stack?.split("\n"),
  };
}

let handler;
try {
  handler = await load();
} catch (error) {
  await send("init/error", told(error));
  process.exit(1);
}

for (;;) {
  const next = await fetch(`${API}/invocation/next`);
  const awsRequestId = next.headers.get("lambda-runtime-aws-request-id");
  try {
    const answer = await handler(await next.json(), { awsRequestId });
    await send(`invocation/${awsRequestId}/response`, answer);
  } catch (error) {
    await send(`invocation/${awsRequestId}/error`, told(error));
  }
}
