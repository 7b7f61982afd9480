// The model that ranks: what it is, until when it may, a newer one, a step back; and how the device has been doing.

import { get, post } from "./api.js";
import { foreign, h, icon, replace } from "./dom.js";
import { facts } from "./facts.js";
import { bytes, count, date, distance, duration, milliseconds, shortKey } from "./format.js";
import { busy, confirmed, say } from "./notice.js";

const PATIENCE_MS = 3_600_000;
const EVERY_MS = 1000;

export const title = "Model";
export const lead = "A signed model ranks for you on this device. It was trained elsewhere, without your history, and changes only when you let it.";

export async function draw(body) {
  const renew = async () => {
    const [model, metrics] = await Promise.all([get("model"), get("metrics")]);
    replace(body, active(model), change(model, renew), measured(metrics), quality(model));
  };
  await renew();
}

function active(model) {
  return [
    warning(model),
    facts([
      ["Version", String(model.version)],
      ["Catalog", [foreign(model.namespace), `, ${count(model.items, "item")}`]],
      ["Made", date(model.created_at)],
      ["May be used until", `${date(model.expires_at)}, ${distance(model.expires_at)}`],
      ["Runs on", foreign(`${model.runtime}, ${model.backend}, ${model.quantization}`)],
      ["Size", bytes(model.bytes)],
      ["Signed by", model.publishers.map((key) => [h("code", { title: key }, shortKey(key)), " "])],
    ]),
  ];
}

function warning({ expired, expiring }) {
  if (expired) return h("p", { class: "note warn" }, h("b", {}, "This model has expired. "), "It goes on ranking, and grows older every day; give your device a newer one below.");
  if (expiring) return h("p", { class: "note warn" }, h("b", {}, "This model expires soon. "), "Give your device a newer one below before then.");
  return null;
}

function change(model, renew) {
  const source = h("input", { id: "source", type: "text", required: true, autocomplete: "off", spellcheck: "false", placeholder: "/path/to/bundle or https://…", "aria-describedby": "source-hint" });
  const progress = h("p", { class: "soft", hidden: true });
  const update = h("button", { type: "submit" }, icon("refresh"), "Update");
  const back = h("button", { type: "button", class: "quiet", disabled: !model.can_roll_back, on: { click: () => goBack(back, renew) } }, "Go back one model");
  const fetchAndSwap = async () => {
    say("Fetching, checking and trying the model: this may take minutes. Everything else goes on meanwhile.");
    const timer = setInterval(() => follow(progress).catch(() => {}), EVERY_MS);
    try {
      swapped(await post("model/update", { source: source.value.trim() }, PATIENCE_MS));
    } finally {
      clearInterval(timer);
      progress.hidden = true;
    }
    await renew();
  };
  const submit = (event) => {
    event.preventDefault();
    busy(update, fetchAndSwap);
  };
  return h(
    "form",
    { class: "panel", on: { submit } },
    h("h2", {}, "A newer model"),
    h("p", { class: "soft", id: "source-hint" }, "A bundle on this device, an address to fetch it from, or the key of a connected peer that offers its own. It is checked, tried out, and only then used; older ones are refused."),
    h("div", { class: "fields" }, h("label", { for: "source", class: "wide" }, "Bundle, address or key", source)),
    progress,
    h("p", { class: "row" }, update, back, model.can_roll_back ? null : h("span", { class: "soft" }, "There is no earlier model to go back to.")),
  );
}

async function follow(progress) {
  const { fetched } = await get("model");
  if (fetched === null) return;
  const [done, of] = fetched;
  progress.textContent = `Fetched ${bytes(done)}${of === null ? "" : ` of ${bytes(of)}`}.`;
  progress.hidden = false;
}

async function goBack(button, renew) {
  const agreed = await confirmed({ title: "Go back one model?", text: "The model before this one ranks again, and this one is never installed again.", action: "Go back" });
  if (agreed) await busy(button, async () => {
    swapped(await post("model/rollback"));
    await renew();
  });
}

function swapped({ version }) {
  say(`Model ${version} ranks now.`);
  document.dispatchEvent(new Event("meritrec:changed"));
}

function measured(metrics) {
  const latency = Object.entries(metrics.latencies);
  return [
    h("h2", {}, "How your device has been doing"),
    facts([
      ["Open for", duration(metrics.uptime_s)],
      ["Events in your history", metrics.events.toLocaleString("en")],
      ["Records of other people", metrics.records.toLocaleString("en")],
      ["Most memory used", metrics.peak_rss_bytes ? bytes(metrics.peak_rss_bytes) : "not known"],
      ["Models that failed", metrics.rollbacks.toLocaleString("en")],
    ]),
    latency.length ? timesTable(latency) : h("p", { class: "empty" }, "No call was timed yet."),
  ];
}

function timesTable(latency) {
  const head = ["Call", "Times", "Failed", "Half within", "99 of 100 within"].map((name) => h("th", { scope: "col" }, name));
  return h("div", { class: "scroll", tabindex: "0", role: "region", "aria-label": "How long calls took" }, h("table", {}, h("caption", {}, "How long calls took since the device was opened."), h("thead", {}, h("tr", {}, head)), h("tbody", {}, latency.map(timesRow))));
}

function timesRow([call, { calls, failed, p50_ms: p50, p99_ms: p99 }]) {
  return h("tr", {}, h("th", { scope: "row" }, call.replaceAll("_", " ")), [calls.toLocaleString("en"), failed.toLocaleString("en"), milliseconds(p50), milliseconds(p99)].map((text) => h("td", {}, text)));
}

function quality({ metrics }) {
  const rows = Object.entries(metrics);
  if (rows.length === 0) return h("p", { class: "soft" }, "Its publisher states no quality figures.");
  return [h("h2", {}, "What its publisher measured"), facts(rows.map(([name, value]) => [foreign(name), typeof value === "number" ? value.toFixed(4) : String(value)]))];
}
