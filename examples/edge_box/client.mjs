// A program in another language: records what a person did, asks for recommendations, prints the reasons.
//
//   node client.mjs http://127.0.0.1:8765 TOKEN_FILE ITEM...
//   node client.mjs unix:/run/meritrec/api.sock - ITEM...
import { randomUUID } from "node:crypto";
import { readFileSync } from "node:fs";
import { request } from "node:http";

const [place, tokenFile, ...items] = process.argv.slice(2);
if (!place || !tokenFile) throw new Error("usage: client.mjs URL|unix:PATH TOKEN_FILE|- ITEM...");
const token = tokenFile === "-" ? null : readFileSync(tokenFile, "utf8").trim();
const where = place.startsWith("unix:")
  ? { socketPath: place.slice(5), headers: { Host: "localhost" } }
  : { hostname: new URL(place).hostname, port: new URL(place).port, headers: {} };

function call(method, path, body, more = {}) {
  const headers = { ...where.headers, ...more };
  if (token) headers.Authorization = `Bearer ${token}`;
  if (body) headers["Content-Type"] = "application/json";
  return new Promise((resolve, reject) => {
    const sent = request({ ...where, method, path, headers }, (answer) => {
      let text = "";
      answer.setEncoding("utf8").on("data", (part) => (text += part)).on("end", () => {
        const content = text ? JSON.parse(text) : null;
        // Every error is a problem (RFC 9457): `detail` says what is wrong and what to do.
        if (answer.statusCode < 400) resolve(content);
        else reject(new Error(`${answer.statusCode}: ${content?.detail ?? text}`));
      });
    });
    sent.on("error", reject).end(body && JSON.stringify(body));
  });
}

if (items.length > 0) {
  const events = items.map((item) => ({ item, action: "like" }));
  // The same key with the same events, sent again after a lost answer, stores them once.
  await call("POST", "/v1/events", { events }, { "Idempotency-Key": randomUUID() });
}
const { recommendations } = await call("GET", "/v1/recommendations?k=5");
for (const { item, title, reasons } of recommendations) {
  console.log(`${title} [${item}]: ${reasons.map((reason) => reason.text).join("; ")}`);
}
const me = await call("GET", "/v1/me");
console.error(`${me.events} events; peer ${me.peer}`);
