// How the emulator calls the user's handlers in one engine, and what keeps calls apart.
//
// Its value is a function of the user's code (a function too: it makes the handlers), of `util.js`
// and of `time.js`; that returns `call`, the only thing Python touches.
// Sources: pages runtime-utilities, runtime-supported-features and writing-event-handlers of
// docs.aws.amazon.com/appsync/latest/eventapi.
(makeHandlers, makeUtil, makeTime) => {
  "use strict";
  const { parse, stringify } = JSON;
  const { ownKeys, getPrototypeOf } = Reflect;
  const { InternalError } = globalThis;

  // How a handler ends early. Nothing it may write can catch these: the language has no `catch`.
  class Refusal {
    constructor(kind, message, error_type) {
      Object.assign(this, { kind, message, error_type });
    }
  }
  class EarlyReturn {
    constructor(value) {
      this.value = value;
    }
  }

  // A string may hold half of a pair of surrogates, which no other program can read.
  const readable = (value) => String(value).toWellFormed();
  const shown = (value) => (typeof value === "string" ? value : `${stringify(value)}`);

  let said = [];
  const say = (level) => (...values) => {
    said.push([level, readable(values.map(shown).join(" "))]);
  };
  const console = {
    log: say("info"),
    debug: say("info"),
    info: say("info"),
    warn: say("warning"),
    error: say("error"),
  };
  const refusals = {
    error: (message, type) => {
      throw new Refusal("error", readable(message), readable(type ?? ""));
    },
    unauthorized: () => {
      throw new Refusal("unauthorized", "", "");
    },
  };
  const util = { ...refusals, ...makeUtil(readable), time: makeTime() };
  const runtime = {
    earlyReturn: (value) => {
      throw new EarlyReturn(value);
    },
  };
  const json = {
    // Documented: text that is no JSON gives an empty string, not an error.
    parse: (value) => {
      try {
        return parse(value);
      } catch {
        return "";
      }
    },
    stringify,
  };

  // What the language lacks, or what tells one call from another.
  const WITHHELD = [
    "eval", "Function", "InternalError", "Promise", "Proxy", "Reflect", "WeakRef",
    "FinalizationRegistry", "queueMicrotask", "performance",
  ];
  for (const name of WITHHELD) delete globalThis[name];

  // An object of the handler's own may have any key, `copy["toString"] = 1`, though the key of
  // that name which it inherits is about to become read-only.
  for (const key of ownKeys(Object.prototype)) {
    const { value, writable } = Object.getOwnPropertyDescriptor(Object.prototype, key);
    if (!writable) continue;
    Object.defineProperty(Object.prototype, key, {
      get: () => value,
      set(own) {
        const property = { value: own, writable: true, enumerable: true, configurable: true };
        Object.defineProperty(this, key, property);
      },
    });
  }
  // Whatever one call could leave behind for the next one is read-only from here on.
  const frozen = new Set();
  const freeze = (value) => {
    const isObject = typeof value === "function" || (typeof value === "object" && value !== null);
    if (!isObject || frozen.has(value)) return;
    frozen.add(value);
    freeze(getPrototypeOf(value));
    for (const key of ownKeys(value)) {
      const property = Object.getOwnPropertyDescriptor(value, key);
      [property.value, property.get, property.set].forEach(freeze);
    }
    Object.freeze(value);
  };
  [globalThis, util, runtime, console, json].forEach(freeze);

  // The user's code runs from its first line for every call: its variables start afresh.
  const fresh = () => makeHandlers(util, runtime, console, json);

  const kindOf = (handler) => {
    if (typeof handler === "function") return "function";
    const isPair = typeof handler?.request === "function" && typeof handler.response === "function";
    return isPair ? "object" : `something else: ${shown(handler)}`;
  };
  const kinds = () =>
    Object.fromEntries(Object.entries(fresh()).map(([name, handler]) => [name, kindOf(handler)]));

  const outgoing = (answer) => {
    if (answer === undefined || answer === null) return [];
    if (!Array.isArray(answer)) throw new TypeError("the answer is neither a list nor null");
    return answer
      .filter((event) => event !== null && event !== undefined)
      .map(({ id, payload, error }) => ({
        id: typeof id === "string" ? readable(id) : null,
        text: stringify(payload) ?? null,
        error: error === undefined || error === null ? null : readable(shown(error)),
      }));
  };

  const run = (name, step, context) => {
    const handler = fresh()[name];
    const closing = (answer) => ({ events: name === "onPublish" ? outgoing(answer) : [] });
    let answer;
    try {
      answer = step === "run" ? handler(context) : handler[step](context);
    } catch (error) {
      if (error instanceof EarlyReturn) return closing(error.value);
      throw error;
    }
    if (step === "request") return { request: answer ?? null, stash: context.stash };
    return closing(answer);
  };

  return (name, step, contextText) => {
    said = [];
    let outcome;
    try {
      outcome = step === "kinds" ? { kinds: kinds() } : run(name, step, parse(contextText));
    } catch (error) {
      if (error instanceof Refusal) {
        outcome = { refusal: { ...error } };
      } else if (error instanceof Error && !(error instanceof InternalError)) {
        outcome = { failure: readable(error), stack: readable(error.stack).slice(0, 1000) };
      } else {
        throw error;  // Out of memory, which leaves none for an error even: Python takes over.
      }
    }
    return stringify({ ...outcome, said });
  };
}
