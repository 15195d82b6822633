// What went through over time, by profile.
import uPlot from "uplot";
import "uplot/dist/uPlot.min.css";
import { count, dollars, fill, h, millis, settled } from "./dom.js";
import { go, note } from "./route.js";
import { all, onChange } from "./store.js";

const RANGES = [["15m", 900], ["1h", 3600], ["6h", 21600], ["1d", 86400], ["all", 0]];
const COLOURS = ["#2f7ed8", "#e5602e", "#2f9e58", "#a557c9", "#c59a15", "#1aa3a3", "#d1417f", "#7d8790"];
const BUCKETS = 60;

const middle = (list) => {
  if (list.length === 0) return null;
  list.sort((a, b) => a - b);
  return list[list.length >> 1];
};

const total = (list) => list.reduce((all, one) => all + one, 0);

/** Each chart: what an exchange adds, and what a bucket makes of it. */
const CHARTS = [
  { id: "requests", title: "Requests", pick: () => 1, fold: total, none: 0, show: count },
  { id: "tokens", title: "Tokens, in and out", pick: (s) => s.usage?.total_tokens, fold: total, none: 0, show: count },
  { id: "cost", title: "Cost, USD", pick: (s) => s.cost, fold: total, none: 0, show: dollars },
  { id: "first", title: "Time to first token, median", pick: (s) => s.timings?.first_token_ms, fold: middle, none: null, show: millis },
  { id: "speed", title: "Tokens a second, median", pick: (s) => s.timings?.tokens_per_second, fold: middle, none: null, show: (n) => (n === null || n === undefined ? "" : n.toFixed(1)) },
  { id: "errors", title: "Errors", pick: (s) => (s.outcome === "failed" ? 1 : undefined), fold: total, none: 0, show: count },
];

/** A time of day; of several days, with the day. */
function moment(seconds, { times }) {
  const date = new Date(seconds * 1000);
  const span = times.at(-1) - times[0];
  const day = span > 86400 * 1.5 ? `${date.toLocaleDateString("en-CA").slice(5)} ` : "";
  return day + date.toLocaleTimeString("en-GB", { hour: "2-digit", minute: "2-digit", ...(span < 600 && { second: "2-digit" }) });
}

/** A step lasts until the next number: the last one needs another like it. */
const closed = (numbers, none) => [...numbers, none === null ? null : numbers.at(-1)];

/** Exchanges that ended, in buckets of time: `{ times, profiles, series: chart → profile → numbers }`. */
export function bucketed(summaries, seconds, now) {
  const ended = summaries.map((s) => ({ s, at: Date.parse(s.began) / 1000 })).filter(({ at }) => at > 0);
  const from = seconds > 0 ? now - seconds : ended.reduce((least, { at }) => Math.min(least, at), now - 60);
  const width = Math.max(1, Math.ceil((now - from) / BUCKETS));
  const begin = Math.floor(from / width) * width;
  const length = Math.floor((now - begin) / width) + 1;
  // One more, where the last bucket ends.
  const times = Array.from({ length: length + 1 }, (_, at) => begin + at * width);
  const inside = ended.filter(({ at }) => at >= from);
  const profiles = [...new Set(inside.map(({ s }) => s.profile))].sort();
  const series = new Map();
  for (const chart of CHARTS) {
    const lists = new Map(profiles.map((profile) => [profile, Array.from({ length }, () => [])]));
    for (const { s, at } of inside) {
      const value = chart.pick(s);
      if (value !== undefined && value !== null) lists.get(s.profile)[Math.min(length - 1, Math.floor((at - begin) / width))].push(value);
    }
    series.set(chart.id, new Map([...lists].map(([profile, buckets]) => [profile, closed(buckets.map((list) => (list.length > 0 ? chart.fold(list) : chart.none)), chart.none)])));
  }
  return { times, profiles, series, summaries: inside.map(({ s }) => s), width };
}

export function chartsView(main, query) {
  let range = RANGES.find(([name]) => name === query.get("range")) ?? RANGES[1];
  const hidden = new Set((query.get("without") ?? "").split(",").filter(Boolean));
  const ranges = h("span");
  const legend = h("span.profiles");
  const table = h("table", { id: "totals" });
  const boxes = CHARTS.map((chart) => ({ chart, box: h("div.chart", { id: `chart-${chart.id}` }, h("h2", chart.title), h("div.plot")), plot: null, made: "" }));
  main.append(h("div.bar", h("b", "Charts"), ranges, legend), h("div.charts", boxes.map(({ box }) => box)), h("h2", "Totals of the time shown"), h("div.scroll", table));
  const css = (name) => getComputedStyle(document.documentElement).getPropertyValue(name).trim();
  const remember = () => note(["charts"], { range: range[0], without: [...hidden].join(",") });
  let known = [];
  const colour = (profile) => COLOURS[known.indexOf(profile) % COLOURS.length];

  function draw() {
    const ended = [];
    for (const item of all.values()) if (!item.live) ended.push(item.s);
    // A colour stays with its profile, whatever the range.
    known = [...new Set(ended.map((s) => s.profile))].sort();
    const data = bucketed(ended, range[1], Date.now() / 1000);
    fill(ranges, RANGES.map((one) => h(`button${one === range ? ".on" : ""}`, { onclick: () => { range = one; remember(); draw(); } }, one[0])));
    fill(
      legend,
      data.profiles.map((profile) =>
        h(`button.key${hidden.has(profile) ? ".off" : ""}`, { onclick: () => { if (!hidden.delete(profile)) hidden.add(profile); remember(); draw(); } }, h("i", { style: { background: colour(profile) } }), profile),
      ),
    );
    const profiles = data.profiles.filter((profile) => !hidden.has(profile));
    for (const one of boxes) plot(one, data, profiles);
    totals(data, profiles);
  }

  function plot(one, data, profiles) {
    const { chart, box } = one;
    const holder = box.querySelector(".plot");
    const lists = [data.times, ...profiles.map((profile) => data.series.get(chart.id).get(profile))];
    const made = JSON.stringify([profiles, css("--fg"), holder.clientWidth]);
    if (one.plot && one.made === made) {
      one.plot.setData(lists);
      return;
    }
    one.plot?.destroy();
    one.made = made;
    const axis = { stroke: css("--dim"), grid: { stroke: css("--line"), width: 1 }, ticks: { stroke: css("--line"), width: 1 }, font: "11px system-ui, sans-serif" };
    one.plot = new uPlot(
      {
        width: Math.max(240, holder.clientWidth),
        height: 170,
        legend: { show: false },
        cursor: { y: false, points: { size: 6 } },
        scales: { y: { range: (_, low, high) => [0, high > 0 ? high * 1.1 : 1] } },
        axes: [{ ...axis, values: (_, splits) => splits.map((value) => moment(value, data)) }, { ...axis, size: 64, values: (_, splits) => splits.map((value) => chart.show(value)) }],
        series: [
          {},
          ...profiles.map((profile) => ({ label: profile, stroke: colour(profile), width: 2, spanGaps: true, points: { show: chart.none === null, size: 5 }, paths: chart.none === 0 ? uPlot.paths.stepped({ align: 1 }) : undefined })),
        ],
      },
      lists,
      holder,
    );
  }

  function totals(data, profiles) {
    const cells = (own) => [
      count(own.length),
      count(total(own.map((s) => s.usage?.prompt_tokens ?? 0))),
      count(total(own.map((s) => s.usage?.completion_tokens ?? 0))),
      dollars(total(own.map((s) => s.cost ?? 0)) || undefined),
      millis(middle(own.map((s) => s.timings?.first_token_ms).filter((n) => n !== undefined))),
      middle(own.map((s) => s.timings?.tokens_per_second).filter((n) => n !== undefined))?.toFixed(1) ?? "",
      count(own.filter((s) => s.outcome === "failed").length),
    ];
    fill(
      table,
      h("tr", ["Profile", "Requests", "Tokens in", "Tokens out", "Cost", "First token", "Tokens/s", "Errors"].map((text) => h("th", text))),
      profiles.map((profile) => h("tr", { "data-profile": profile }, h("td", profile), cells(data.summaries.filter((s) => s.profile === profile)).map((text) => h("td", text)))),
    );
  }

  const later = settled(500, draw);
  const stop = onChange(later);
  const resized = settled(200, draw);
  addEventListener("resize", resized);
  addEventListener("theme", draw);
  // Laid out, so that the width is known.
  requestAnimationFrame(draw);
  return {
    keys: { Escape: () => go([]) },
    close() {
      stop();
      removeEventListener("resize", resized);
      removeEventListener("theme", draw);
      for (const one of boxes) one.plot?.destroy();
    },
  };
}
