// The page's frame: trades the link's token for a key, shows the device at a glance, and draws the section asked for.

import { ApiError, enter, get, hasKey } from "./api.js";
import { h, icon, replace } from "./dom.js";
import { count, distance, shortKey } from "./format.js";
import * as data from "./data.js";
import * as forYou from "./for_you.js";
import * as model from "./model.js";
import * as network from "./network.js";
import * as people from "./people.js";
import * as sharing from "./sharing.js";

const ROOMS = { "for-you": forYou, people, sharing, network, model, data };
const FIRST = "for-you";
const SHARES = { private: "Shares nothing", items: "Shares items", network: "Shares items and people" };
const main = document.getElementById("main");
let leave = null;
let drawn = 0;

async function boot() {
  const token = /^#token=([A-Za-z0-9_-]+)$/.exec(location.hash)?.[1];
  if (token) history.replaceState(null, "", location.pathname);
  document.getElementById("skip").addEventListener("click", (event) => {
    event.preventDefault();
    main.focus();
  });
  try {
    if (token) await enter(token);
    if (!hasKey()) throw new ApiError("Locked", "", 401);
    await refreshChips();
  } catch (error) {
    showProblem(error);
    return;
  }
  document.getElementById("rooms").hidden = false;
  document.addEventListener("meritrec:changed", () => refreshChips().catch(() => {}));
  addEventListener("hashchange", () => show(true));
  await show(false);
}

async function show(moved) {
  const asked = location.hash.replace(/^#\//, "");
  const name = Object.hasOwn(ROOMS, asked) ? asked : FIRST;
  const room = ROOMS[name];
  leave?.();
  leave = null;
  for (const link of document.querySelectorAll("#rooms a")) {
    if (link.getAttribute("href") === `#/${name}`) link.setAttribute("aria-current", "page");
    else link.removeAttribute("aria-current");
  }
  document.title = `${room.title} · meritrec`;
  const heading = h("h1", { id: "room-title", tabindex: "-1" }, room.title);
  const body = h("div", { class: "body", "aria-busy": "true" });
  replace(main, h("section", { class: `room ${name}`, "aria-labelledby": "room-title" }, heading, h("p", { class: "lead" }, room.lead), body));
  if (moved) {
    scrollTo(0, 0);
    heading.focus();
  }
  drawn += 1;
  const turn = drawn;
  try {
    const left = await room.draw(body);
    if (turn === drawn) leave = left ?? null;
    else left?.();
  } catch (error) {
    if (turn === drawn) showProblem(error, body);
  } finally {
    body.removeAttribute("aria-busy");
  }
}

async function refreshChips() {
  const device = await get("overview");
  const { model: active } = device;
  replace(
    document.getElementById("chips"),
    chip("network", device.connected ? `Online, ${count(device.peers, "peer")}` : "Offline", "#/network"),
    chip("share", SHARES[device.sharing], "#/sharing"),
    chip("model", `Model ${active.version}${expiry(active)}`, "#/model"),
    chip("info", `Device ${shortKey(device.peer)}`, "#/people"),
  );
}

function expiry({ expired, expiring, expires_at: at }) {
  if (expired) return ", expired";
  return expiring ? `, expires ${distance(at)}` : "";
}

function chip(symbol, text, href) {
  return h("li", {}, h("a", { href }, icon(symbol), text));
}

function showProblem(error, place = main) {
  const again = h("button", { type: "button", on: { click: () => location.reload() } }, icon("refresh"), "Try again");
  const locked = error.status === 401;
  const advice = "Only the person who started “meritrec view” may look. Go to the terminal where it runs and open the link that it printed last; each link works once. If it was stopped, start it again.";
  const heading = locked ? "This page is locked" : "That did not work";
  replace(place, h("section", { class: "problem", role: "alert" }, h("h1", {}, heading), h("p", {}, locked ? advice : error.message), locked ? null : again));
}

boot();
