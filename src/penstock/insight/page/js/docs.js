// The description of the HTTP API, drawn from the server's own schema.

import { byId, fill, make } from "./dom.js";
import { showError } from "./messages.js";
import { ask } from "./service.js";
import { say } from "./strings.js";
import { switches } from "./switches.js";

let schema = null;

function typeOf(part) {
  if (!part) return "";
  if (part.$ref) return part.$ref.split("/").at(-1);
  const either = part.anyOf ?? part.oneOf;
  if (either) return either.map(typeOf).filter((type) => type !== "null").join(" | ");
  if (part.enum) return part.enum.map((value) => JSON.stringify(value)).join(" | ");
  if (part.const !== undefined) return JSON.stringify(part.const);
  if (part.type === "array") return `[${typeOf(part.items)}]`;
  return Array.isArray(part.type) ? part.type.join(" | ") : (part.type ?? "any");
}

function limitsOf(part) {
  const names = { minimum: "≥", exclusiveMinimum: ">", maximum: "≤", exclusiveMaximum: "<" };
  const lengths = { maxLength: "charactersMost", maxItems: "itemsMost" };
  const parts = [part, ...(part.anyOf ?? [])];
  const limits = parts.flatMap((one) =>
    Object.entries(names).filter(([name]) => one[name] !== undefined).map(([name, sign]) => `${sign} ${one[name]}`),
  );
  for (const one of parts) {
    for (const [name, key] of Object.entries(lengths)) {
      if (one[name] !== undefined) limits.push(say(key, { count: one[name] }));
    }
  }
  if (part.default !== undefined && part.default !== null) limits.push(`= ${JSON.stringify(part.default)}`);
  return limits.join(", ");
}

function resolved(part) {
  if (!part?.$ref) return part ?? {};
  return part.$ref.split("/").slice(1).reduce((at, key) => at?.[key], schema) ?? {};
}

// Text with `code` in it.
function prose(text) {
  const parts = text.split("`");
  return parts.map((part, index) => (index % 2 ? make("code", {}, part) : part));
}

function fieldTable(rows) {
  if (rows.length === 0) return null;
  const heads = ["field", "type", "limits", "meaning"].map((key) => make("th", { scope: "col" }, say(key)));
  return make(
    "div",
    { class: "scroll", tabindex: 0, role: "region", "aria-label": say("fields") },
    make(
      "table",
      { class: "fields" },
      make("thead", {}, make("tr", {}, heads)),
      make("tbody", {}, rows.map(([name, part, required]) =>
        make("tr", {},
          make("th", { scope: "row" }, make("code", {}, name), required ? make("span", { class: "quiet" }, ` ${say("required")}`) : null),
          make("td", {}, make("code", {}, typeOf(part))),
          make("td", {}, limitsOf(part)),
          make("td", {}, prose(part.description ?? ""))))),
    ),
  );
}

function fieldsOf(part) {
  const object = resolved(part);
  const required = new Set(object.required ?? []);
  return Object.entries(object.properties ?? {}).map(([name, field]) => [name, field, required.has(name)]);
}

function operation(path, method, given) {
  const bodies = Object.entries(given.requestBody?.content ?? {});
  const parameters = (given.parameters ?? []).map((one) => [one.name, { ...one.schema, description: one.description }, one.required]);
  const answers = Object.entries(given.responses ?? {});
  return make(
    "section",
    { class: "operation" },
    make("h3", {}, make("span", { class: `verb ${method}` }, method.toUpperCase()), " ", make("code", {}, path)),
    make("p", {}, prose(given.description ?? given.summary ?? "")),
    fieldTable(parameters),
    bodies.slice(0, 1).map(([, body]) => fieldTable(fieldsOf(body.schema))),
    bodies.length ? make("p", { class: "quiet" }, bodies.map(([kind]) => kind).join(", ")) : null,
    make("details", { class: "as-text" }, make("summary", {}, say("answers")),
      make("ul", { class: "answers" }, answers.map(([status, answer]) =>
        make("li", {}, make("code", {}, status), " ", answer.description ?? "",
          Object.values(answer.content ?? {}).slice(0, 1).map((body) => fieldTable(fieldsOf(body.schema))))))),
  );
}

function showSchema() {
  if (!schema) return;
  const groups = new Map();
  for (const [path, methods] of Object.entries(schema.paths)) {
    for (const [method, given] of Object.entries(methods)) {
      const tag = given.tags?.[0] ?? say("other");
      groups.set(tag, [...(groups.get(tag) ?? []), operation(path, method, given)]);
    }
  }
  fill(byId("api-title"), `${schema.info.title} ${schema.info.version}`);
  fill(byId("api-about"), prose(schema.info.description ?? ""));
  fill(byId("api"), [...groups].map(([tag, parts]) => make("section", {}, make("h2", {}, tag), parts)));
}

async function openSchema() {
  try {
    schema = await ask("/openapi.json");
    fill(byId("api-trouble"));
    showSchema();
  } catch (error) {
    showError(byId("api-trouble"), error, openSchema);
  }
}

switches(showSchema);
openSchema();
