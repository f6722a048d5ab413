import { describe, expect, test } from "bun:test";
import { readdirSync, readFileSync } from "node:fs";
import { join, resolve } from "node:path";
import { authKeys } from "../../lib/config/auth-keys.ts";
import { brokerConfigKeys, defaultBrokerConfig, loadBrokerConfig } from "../../lib/config/broker-config.ts";
import { DEAD_KEYS } from "../../lib/config/dead-keys.ts";
import type { Keys } from "../../lib/config/key.ts";
import { defaultNamesrvConfig, loadNamesrvConfig, namesrvConfigKeys } from "../../lib/config/namesrv-config.ts";
import { nettyClientKeys } from "../../lib/config/netty-client-keys.ts";
import golden from "../golden/config.json";

const root = resolve(import.meta.dir, "../..");

type JavaKeys = Record<string, [type: string, standard: string | null]>;
const java = golden.keys as unknown as Record<string, JavaKeys>;

/** Where mq's default is meant to differ, and why. */
const OTHER_DEFAULTS: Record<string, string> = {
  listenPort: "the effective defaults 10911 and 9876 instead of the class's own",
  haListenPort: "0: one above listenPort",
  rmqAddressServerDomain: "a system property in Java",
};

/** Names that Java's classes have and no file sets. */
const NOT_A_KEY = new Set(["jraftConfig"]);

function typeOf(javaType: string): string[] {
  if (javaType === "int" || javaType === "long" || javaType === "double" || javaType === "boolean") return [javaType];
  return javaType === "String" ? ["String", "choice"] : ["choice"];
}

function check(className: string, keys: Keys, values: Record<string, unknown>): void {
  for (const [name, [javaType, standard]] of Object.entries(java[className] ?? {})) {
    if (NOT_A_KEY.has(name) || Object.hasOwn(DEAD_KEYS, name)) continue;
    const key = keys[name];
    expect(key, `${className}.${name} is declared`).toBeDefined();
    expect(typeOf(javaType), `type of ${name}`).toContain(key?.type ?? "");
    if (standard !== null && !(name in OTHER_DEFAULTS) && name in values)
      expect(String(values[name]), `default of ${name}`).toBe(standard);
  }
}

describe("every key of RocketMQ 5.3.3 is declared with its type and default", () => {
  const broker = defaultBrokerConfig();
  for (const className of ["BrokerConfig", "MessageStoreConfig", "NettyServerConfig"])
    test(className, () => check(className, brokerConfigKeys, broker));
  test("NamesrvConfig", () => check("NamesrvConfig", namesrvConfigKeys, defaultNamesrvConfig()));
  test("NettyClientConfig", () => check("NettyClientConfig", { ...brokerConfigKeys, ...nettyClientKeys }, {}));
  test("AuthConfig", () => check("AuthConfig", { ...brokerConfigKeys, ...authKeys }, {}));
});

describe("declarations", () => {
  test("each default is allowed by its own key", () => {
    for (const keys of [brokerConfigKeys, namesrvConfigKeys, authKeys, nettyClientKeys] as Keys[]) {
      const text = Object.entries(keys)
        .map(([name, { standard }]) => [name, String(typeof standard === "function" ? standard() : standard)])
        .filter(([, value]) => value !== "")
        .map(([name, value]) => `${name}=${value}\n`)
        .join("");
      if (keys === (namesrvConfigKeys as Keys)) expect(() => loadNamesrvConfig({ text })).not.toThrow();
      else expect(() => loadBrokerConfig({ text })).not.toThrow();
    }
  });

  test("each has one line of meaning", () => {
    for (const [name, { meaning }] of Object.entries({ ...brokerConfigKeys, ...namesrvConfigKeys } as Keys)) {
      expect(meaning, name).not.toBe("");
      expect(meaning, name).not.toContain("\n");
    }
  });

  /** Files that name keys without acting on them: what is shown, compared, advised. */
  const NO_EFFECT = /^lib\/(config|bench|tune)\/|processor\/(admin-runtime|runtime-keys)\.ts$/;

  /** Source of the rooms that could act on a key. */
  const source = ["lib", "cmd"]
    .flatMap((folder) =>
      readdirSync(join(root, folder), { recursive: true, encoding: "utf8" }).map((name) => join(folder, name)),
    )
    .filter((name) => name.endsWith(".ts") && !NO_EFFECT.test(name))
    .map((name) => readFileSync(join(root, name), "utf8"))
    .join("\n");
  // `config.key`, or taken out of one; a type, a default or a text that mentions the key is no reading.
  const HOLDER = "(?:[cC]onfig|[sS]ettings|[oO]ptions|[rR]ules)(?:\\(\\))?";
  const taken = new Set(
    [
      ...source.matchAll(
        new RegExp(
          `\\{([^{}]*)\\}(?::\\s*\\w+)?\\s*=\\s*[\\w.#]*${HOLDER}\\b|\\{([^{}]*)\\}:\\s*\\w*(?:Config|Settings)\\b`,
          "g",
        ),
      ),
    ].flatMap(([, first = "", second = ""]) =>
      `${first},${second}`.split(",").map((part) => part.trim().split(":")[0] ?? ""),
    ),
  );
  const isRead = (name: string): boolean => taken.has(name) || new RegExp(`${HOLDER}[?!]?\\.${name}\\b`).test(source);

  test("a key that is said to have an effect is read somewhere", () => {
    for (const keys of [brokerConfigKeys, namesrvConfigKeys] as Keys[]) {
      const idle = Object.keys(keys).filter((name) => !keys[name]?.unused && !keys[name]?.later && !isRead(name));
      expect(idle, "mark them `later` or `unused`, or read them").toEqual([]);
    }
  });

  test("a key that is said to have none is read nowhere", () => {
    const keys = brokerConfigKeys as Keys;
    const marked = Object.keys(keys).filter((name) => keys[name]?.unused || keys[name]?.later);
    const read = marked.filter((name) => new RegExp(`\\bconfig\\.${name}\\b`).test(source));
    expect(read, "take the mark off").toEqual([]);
  });

  test("a dead key is not declared as well", () => {
    for (const name of Object.keys(DEAD_KEYS)) expect(Object.keys(brokerConfigKeys)).not.toContain(name);
  });

  test("every file in conf/ is good, without a notice", () => {
    const files = readdirSync(join(root, "conf"), { recursive: true, encoding: "utf8" }).filter((file) =>
      file.endsWith(".properties"),
    );
    expect(files.length).toBeGreaterThan(2);
    for (const name of files) {
      const file = join(root, "conf", name);
      const load = name.includes("namesrv") ? loadNamesrvConfig : loadBrokerConfig;
      expect(load({ file }).notices, name).toEqual([]);
      // The lines that are commented out are examples: they are good too.
      const text = readFileSync(file, "utf8").replace(/^#(\w+=)/gm, "$1");
      expect(() => load({ text }), name).not.toThrow();
    }
  });
});
