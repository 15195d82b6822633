// What the Node checks share: what is asked, and running the checks of several profiles side by side.
//
// A script's environment is that of `../python/common.py`: BASE_URL, and PROFILES, a list of `{"name", "has"}`.

import assert from "node:assert/strict";
import { z } from "zod";

export const story = "Tell me a story";
export const Weather = z.object({ city: z.enum(["Oslo", "Rome"]), days: z.number().int() });
// The same as a tool's parameters.
export const weather = {
  type: "object",
  properties: { city: { type: "string", enum: ["Oslo", "Rome"] }, days: { type: "integer" } },
  required: ["city", "days"],
  additionalProperties: false,
};
export const nothing = { type: "object", properties: {} };
export const user = (content) => ({ role: "user", content });

export async function all(stream) {
  const items = [];
  for await (const item of await stream) items.push(item);
  return items;
}

// An error whose class is `kind` itself; gives it.
export async function raised(kind, promise) {
  const error = await promise.then(
    () => assert.fail(`no ${kind.name}`),
    (error) => error,
  );
  assert.equal(error.constructor, kind, String(error));
  return error;
}

const errors = {
  400: "BadRequestError",
  401: "AuthenticationError",
  404: "NotFoundError",
  429: "RateLimitError",
  500: "InternalServerError",
  529: "InternalServerError",
};

// What the SDK raises where `ask({ model, stream })` meets an error: status and exception, which must be of its own class.
export async function* refusals(sdk, ask) {
  for (const [status, name] of Object.entries(errors)) {
    const kind = (status === "529" && sdk.OverloadedError) || sdk[name];
    for (const stream of [false, true]) {
      const error = await raised(kind, ask({ model: `mock-error-${status}`, stream }));
      assert.equal(error.status, Number(status));
      yield [status, error];
    }
  }
}

// What a check gives back where the server has nothing that it could judge.
export const skipped = "skipped";

// Runs `{label: {name: check}}`: the groups side by side, a group's checks in order. One line per check; exits with 1 if one fails.
export async function run(groups) {
  const group = async ([label, checks]) => {
    for (const [name, check] of Object.entries(checks)) {
      try {
        const outcome = await check();
        console.log(`${outcome ?? "ok"} - ${label}: ${name}`);
      } catch (error) {
        console.log(`not ok - ${label}: ${name}\n${error.stack}`);
        process.exitCode = 1;
      }
    }
  };
  await Promise.all(Object.entries(groups).map(group));
}

// Runs the checks that `make(baseURL, has)` gives, for every profile.
export const runProfiles = (label, make) =>
  run(
    Object.fromEntries(
      JSON.parse(process.env.PROFILES).map(({ name, has }) => [
        `${label} ${name}`,
        make(`${process.env.BASE_URL}/${name}`, new Set(has)),
      ]),
    ),
  );
