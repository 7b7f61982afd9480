// The trust graph around this device as a drawing: the device in the middle, each ring one vouch further away. Shapes,
// dashes and words say what colours say. For those who do not see it, the table beside it says the same.

import { h, replace, svg } from "./dom.js";
import { percent, shortKey } from "./format.js";

const RINGS = 3;
const TURN = -2.2; // where the first share of the circle begins, so that few arrows run straight down
const NAMED = 14;
const CLEAR = 40; // edges; with more of them, those beside the shortest ways are faint

// Draws into `place`; `choose` is called with the peer that somebody clicked on.
export function drawTrust(place, graph, choose) {
  if (graph.nodes.length === 0) {
    replace(place, h("p", { class: "empty" }, "You trust nobody yet, so nobody moves your ranking. Vouch for somebody below, and the people they trust appear around you."));
    return;
  }
  const width = Math.max(300, place.clientWidth);
  const height = Math.min(560, Math.max(360, width * 0.62));
  const children = tree(graph);
  const spots = fitted(layout(graph.me, children), width, height);
  const strongest = Math.max(...graph.nodes.map((node) => node.score), 1e-9);
  const size = new Map(graph.nodes.map((node) => [node.peer, radius(node, strongest)]));
  size.set(graph.me, 15);
  const named = withRoom(graph, spots, size);
  replace(
    place,
    svg(
      "svg",
      { class: "graph", viewBox: `0 0 ${width} ${height}`, role: "img", "aria-label": spoken(graph) },
      svg("defs", {}, ["own", "other"].map(tip)),
      arrows(graph, children, spots, size),
      graph.nodes.map((node) => mark(node, spots.get(node.peer), size.get(node.peer), named.has(node.peer), choose)),
      me(spots.get(graph.me)),
    ),
  );
}

export function legend() {
  const sample = (drawing, words) => h("li", {}, svg("svg", { viewBox: "0 0 26 20", width: "26", height: "20", class: "graph", "aria-hidden": "true" }, drawing), words);
  return h(
    "ul",
    { class: "legend", "aria-label": "What the drawing shows" },
    sample([svg("circle", { cx: 13, cy: 10, r: 8, class: "me" }), svg("circle", { cx: 13, cy: 10, r: 3.5, class: "pupil" })], "you"),
    sample([svg("circle", { cx: 13, cy: 10, r: 6, class: "disc" }), svg("circle", { cx: 13, cy: 10, r: 9, class: "halo" })], "you vouch for them"),
    sample(svg("circle", { cx: 13, cy: 10, r: 6, class: "disc" }), "trusted through others"),
    sample(svg("circle", { cx: 13, cy: 10, r: 5, class: "disc faint" }), "known, not trusted"),
    sample(cross(13, 10, 6), "blocked"),
    h("li", {}, "the larger, the more trusted; thin lines: further vouches"),
  );
}

// Angles: who is vouched for stands outside of who vouches, in the middle of that one's share of the circle.
function layout(me, children) {
  const spots = new Map([[me, [0, 0]]]);
  const leaves = new Map();
  const weigh = (peer) => {
    const below = children.get(peer) ?? [];
    leaves.set(peer, below.length ? below.reduce((sum, child) => sum + weigh(child), 0) : 1);
    return leaves.get(peer);
  };
  weigh(me);
  // Somebody who vouches for very many gets more of the circle, but does not push the others together.
  const share = (peer) => Math.sqrt(leaves.get(peer));
  const put = (peer, from, to, ring) => {
    const whole = (children.get(peer) ?? []).reduce((sum, child) => sum + share(child), 0);
    let start = from;
    for (const child of children.get(peer) ?? []) {
      const end = start + ((to - from) * share(child)) / whole;
      const angle = (start + end) / 2;
      const reach = Math.min(ring, RINGS);
      spots.set(child, [Math.cos(angle) * reach, Math.sin(angle) * reach]);
      put(child, start, end, ring + 1);
      start = end;
    }
  };
  put(me, TURN, TURN + 2 * Math.PI, 1);
  return spots;
}

// Stretches what the layout takes up over the drawing, with room for names around it.
function fitted(spots, width, height) {
  const stretch = (axis, size, margin) => {
    const values = [...spots.values()].map((spot) => spot[axis]);
    const [low, high] = [Math.min(...values, -1), Math.max(...values, 1)];
    return (value) => margin + ((value - low) / (high - low)) * (size - 2 * margin);
  };
  const [across, down] = [stretch(0, width, 52), stretch(1, height, 42)];
  return new Map([...spots].map(([peer, [x, y]]) => [peer, [across(x), down(y)]]));
}

// Shortest paths from `me` as a tree; who is on no path hangs at `me` itself, by way of a ring of its own.
function tree({ me, nodes, edges }) {
  const known = new Set(nodes.map((node) => node.peer));
  const out = new Map();
  for (const { source, target } of edges) out.set(source, [...(out.get(source) ?? []), target]);
  const children = new Map([[me, []]]);
  const queue = [me];
  while (queue.length) {
    const peer = queue.shift();
    for (const target of out.get(peer) ?? []) {
      if (children.has(target) || !known.has(target)) continue;
      children.set(target, []);
      children.get(peer).push(target);
      queue.push(target);
    }
  }
  for (const { peer } of nodes) {
    if (children.has(peer)) continue;
    children.set(peer, []);
    children.get(me).push(peer);
  }
  return children;
}

// The peers whose names fit without lying on another name, the most trusted first.
function withRoom({ me, nodes }, spots, size) {
  const taken = [spots.get(me)].map(([x, y]) => [x, y + 26]);
  const named = new Set();
  for (const { peer } of nodes.slice(0, NAMED)) {
    const [x, y] = [spots.get(peer)[0], spots.get(peer)[1] + size.get(peer) + 13];
    if (taken.some(([left, top]) => Math.abs(left - x) < 70 && Math.abs(top - y) < 16)) continue;
    taken.push([x, y]);
    named.add(peer);
  }
  return named;
}

function radius({ score, blocked }, strongest) {
  return blocked ? 7 : 5 + 13 * Math.sqrt(score / strongest);
}

function arrows({ me, edges }, children, spots, size) {
  const drawn = edges.filter((edge) => spots.has(edge.source) && spots.has(edge.target));
  const leads = ({ source, target }) => drawn.length <= CLEAR || children.get(source).includes(target);
  const faint = drawn.filter((edge) => !leads(edge)).map(({ source, target }) => {
    const [[x1, y1], [x2, y2]] = [spots.get(source), spots.get(target)];
    return svg("path", { d: `M${x1} ${y1}L${x2} ${y2}`, class: "edge faint" });
  });
  return [faint, drawn.filter(leads).map((edge) => arrow(edge, { me, edges: drawn.filter(leads) }, spots, size))];
}

function arrow({ source, target, level }, { me, edges }, spots, size) {
  const [x1, y1] = spots.get(source);
  const [x2, y2] = spots.get(target);
  const length = Math.hypot(x2 - x1, y2 - y1) || 1;
  const [dx, dy] = [(x2 - x1) / length, (y2 - y1) / length];
  const mutual = edges.some((edge) => edge.source === target && edge.target === source);
  const bend = mutual ? 0.1 * length : 0;
  const [from, to] = [(size.get(source) ?? 6) + 3, (size.get(target) ?? 6) + 7];
  const kind = source === me ? "own" : "other";
  const curve = `M${x1 + from * dx} ${y1 + from * dy}Q${(x1 + x2) / 2 - bend * dy} ${(y1 + y2) / 2 + bend * dx} ${x2 - to * dx} ${y2 - to * dy}`;
  return svg("path", { d: curve, class: `edge ${kind}`, "stroke-width": 0.4 + 0.7 * level, "marker-end": `url(#tip-${kind})` });
}

function tip(kind) {
  return svg(
    "marker",
    { id: `tip-${kind}`, viewBox: "0 0 8 8", refX: 6, refY: 4, markerWidth: 9, markerHeight: 9, markerUnits: "userSpaceOnUse", orient: "auto" },
    svg("path", { d: "M0 .5L8 4L0 7.5L1.8 4z", class: `tip ${kind}` }),
  );
}

function me([x, y]) {
  return svg("g", {}, svg("title", {}, "you"), svg("circle", { cx: x, cy: y, r: 13, class: "me" }), svg("circle", { cx: x, cy: y, r: 5.5, class: "pupil" }), svg("text", { x, y: y + 30, class: "who" }, "you"));
}

function mark(node, [x, y], r, named, choose) {
  const shape = node.blocked
    ? cross(x, y, r)
    : [node.direct ? svg("circle", { cx: x, cy: y, r: r + 3.5, class: "halo" }) : null, svg("circle", { cx: x, cy: y, r, class: node.score > 0 ? "disc" : "disc faint" })];
  const label = named ? svg("text", { x, y: y + r + 17, class: "who" }, shortKey(node.peer)) : null;
  return svg("g", { class: "node", on: { click: () => choose(node.peer) } }, svg("title", {}, `${shortKey(node.peer)}, ${standing(node)}`), shape, label);
}

function cross(x, y, r) {
  return svg("path", { d: `M${x - r} ${y - r}L${x + r} ${y + r}M${x + r} ${y - r}L${x - r} ${y + r}`, class: "cross" });
}

function standing(node) {
  if (node.blocked) return "blocked";
  if (node.score === 0) return "not trusted";
  return `trust ${percent(node.score)}${node.direct ? ", you vouch for them" : ""}`;
}

function spoken({ nodes }) {
  const trusted = nodes.filter((node) => node.score > 0 && !node.blocked);
  const first = trusted.slice(0, 5).map((node) => `${shortKey(node.peer)}, ${standing(node)}`).join("; ");
  const blocked = nodes.filter((node) => node.blocked).length;
  return `Drawing of ${nodes.length} people around you, ${trusted.length} of them trusted, ${blocked} blocked. ${first}. The table below says the same.`;
}
