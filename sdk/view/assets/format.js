// Numbers, times and keys as a person reads them.

const MINUTE = 60;
const HOUR = 60 * MINUTE;
const DAY = 24 * HOUR;
const YEAR = 365.25 * DAY;

export function count(number, one, many = `${one}s`) {
  return `${number.toLocaleString("en")} ${number === 1 ? one : many}`;
}

export function bytes(number) {
  if (number < 1024) return `${number} B`;
  if (number < 1024 * 1024) return `${(number / 1024).toFixed(1)} KiB`;
  return `${(number / 1024 / 1024).toFixed(1)} MiB`;
}

export function percent(share) {
  const value = share * 100;
  return value > 0 && value < 0.1 ? "under 0.1%" : `${value.toFixed(value < 10 ? 1 : 0)}%`;
}

export function milliseconds(value) {
  return `${value.toFixed(value < 10 ? 1 : 0)} ms`;
}

export function date(seconds) {
  return new Date(seconds * 1000).toLocaleDateString("en", { year: "numeric", month: "long", day: "numeric" });
}

export function dayDate(day) {
  return date(day * DAY);
}

export function duration(seconds) {
  const [size, unit] = [[DAY, "day"], [HOUR, "hour"]].find(([one]) => seconds >= 2 * one) ?? [MINUTE, "minute"];
  return seconds < MINUTE ? "under a minute" : count(Math.floor(seconds / size), unit);
}

// How far a moment is from now: "in 12 days", "3 hours ago".
export function distance(seconds, now = Date.now() / 1000) {
  const gap = Math.abs(seconds - now);
  const [size, unit] = [[YEAR, "year"], [DAY, "day"], [HOUR, "hour"]].find(([one]) => gap >= 2 * one) ?? [MINUTE, "minute"];
  const said = count(Math.max(1, Math.round(gap / size)), unit);
  return seconds >= now ? `in ${said}` : `${said} ago`;
}

// The first half of a key is what people compare; the whole of it is in the element's title.
export function shortKey(key) {
  return key.slice(0, 8);
}
