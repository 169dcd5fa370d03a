// A line chart over minutes, with a readout of the point nearest to the pointer.

import { draw, drawing, fill, make } from "./dom.js";
import { number } from "./pieces.js";
import { say } from "./strings.js";

const CHART = { width: 460, height: 260, left: 46, right: 16, top: 14, bottom: 40 };

// `series`: [{name, values, kind: "solid"|"dotted"}]; `best`: the point whose model was kept.
export function lineChart(title, minutes, series, best) {
  const numbers = series.flatMap((one) => one.values.filter(Number.isFinite));
  const x = scaleOf(0, Math.max(...minutes, 0.1), CHART.left, CHART.width - CHART.right);
  const ys = ticksOf(Math.min(...numbers), Math.max(...numbers), 5);
  const y = scaleOf(ys[0], ys.at(-1), CHART.height - CHART.bottom, CHART.top);
  const guide = draw("line", { class: "guide", y1: CHART.top, y2: CHART.height - CHART.bottom, visibility: "hidden" });
  const svg = drawing(
    CHART.width,
    CHART.height,
    title,
    say("chartMean", { points: minutes.length }),
    ...ys.map((value) => gridLine(value, y)),
    ...ticksOf(0, Math.max(...minutes, 0.1), 6).filter((v) => x(v) <= CHART.width - CHART.right + 1).map((v) => minuteMark(v, x)),
    draw("text", { class: "axis", x: CHART.width - CHART.right, y: CHART.height - 6, "text-anchor": "end" }, say("minutes")),
    guide,
    ...series.map((one) => seriesLines(one, minutes, x, y)),
    bestMark(minutes, series[0], best, x, y),
  );
  svg.classList.add("chart");
  const readout = make("p", { class: "readout" }, pointTold(minutes, series, minutes.length - 1, best));
  svg.addEventListener("pointermove", (event) => {
    const box = svg.getBoundingClientRect();
    const at = ((event.clientX - box.left) * CHART.width) / box.width;
    const distances = minutes.map((value) => Math.abs(x(value) - at));
    const nearest = distances.indexOf(Math.min(...distances));
    for (const end of ["x1", "x2"]) guide.setAttribute(end, x(minutes[nearest]));
    guide.setAttribute("visibility", "visible");
    fill(readout, pointTold(minutes, series, nearest, best));
  });
  return make("figure", {}, make("figcaption", {}, title, " ", chartKey(series)), svg, readout);
}

function scaleOf(low, high, from, to) {
  return (value) => from + ((value - low) / (high - low || 1)) * (to - from);
}

// Round values that enclose a range.
function ticksOf(low, high, count) {
  const rough = Math.max(high - low, 1e-6) / count;
  const power = 10 ** Math.floor(Math.log10(rough));
  const step = [1, 2, 5, 10].map((factor) => factor * power).find((size) => size >= rough);
  const ticks = [];
  for (let at = Math.floor(low / step); at <= Math.ceil(high / step); at += 1) ticks.push(at * step);
  return ticks;
}

function gridLine(value, y) {
  const place = { x: CHART.left - 8, y: y(value), "text-anchor": "end", "dominant-baseline": "central" };
  const digits = Math.abs(value) < 10 && !Number.isInteger(value) ? 1 : 0;
  return draw(
    "g",
    {},
    draw("line", { class: "grid", x1: CHART.left, x2: CHART.width - CHART.right, y1: y(value), y2: y(value) }),
    draw("text", { class: "axis", ...place }, number(value, digits)),
  );
}

function minuteMark(value, x) {
  const place = { x: x(value), y: CHART.height - CHART.bottom + 16, "text-anchor": "middle" };
  return draw("text", { class: "axis", ...place }, number(value, Number.isInteger(value) ? 0 : 1));
}

function seriesLines({ values, kind }, minutes, x, y) {
  const known = values.map((value, index) => [minutes[index], value]).filter(([, v]) => Number.isFinite(v));
  const points = known.map(([minute, value]) => `${x(minute).toFixed(1)} ${y(value).toFixed(1)}`);
  return draw(
    "g",
    { class: `series ${kind}` },
    draw("path", { d: `M${points.join("L")}` }),
    ...known.map(([minute, value]) => draw("circle", { cx: x(minute), cy: y(value), r: 2.5 })),
  );
}

function bestMark(minutes, first, best, x, y) {
  if (best < 0 || !Number.isFinite(first.values[best])) return null;
  return draw("circle", { class: "best-point", cx: x(minutes[best]), cy: y(first.values[best]), r: 6 });
}

function chartKey(series) {
  return make(
    "span",
    { class: "key" },
    series.length < 2 ? null : series.map(({ name, kind }) => [
      draw(
        "svg",
        { width: 26, height: 8, viewBox: "0 0 26 8", "aria-hidden": "true", class: "chart" },
        draw("g", { class: `series ${kind}` }, draw("path", { d: "M1 4H25" })),
      ),
      name,
      " ",
    ]),
  );
}

function pointTold(minutes, series, index, best) {
  const list = series.map(({ name, values }) => `${name} ${number(values[index])}`).join(say("comma"));
  const kept = index === best ? ` ${say("bestHere")}` : "";
  return say("pointAt", { minutes: number(minutes[index], 1), list }) + kept;
}
