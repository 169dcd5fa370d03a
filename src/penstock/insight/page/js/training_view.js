// The curves of a run, live while it trains.

import { lineChart } from "./line_chart.js";
import { asText, fill, make, table } from "./dom.js";
import { showError } from "./messages.js";
import { number } from "./pieces.js";
import { ask } from "./service.js";
import { say } from "./strings.js";

const POLL = 2000; // ms between looks at a run that trains
// the first that is there is drawn
const METRICS = ["bleu", "accuracy", "f1", "chrf", "exact_match", "ser", "wer", "per", "cer"];

export function trainingView(place, trouble) {
  let name = null;
  let events = [];
  let next = 0;
  let finished = false;

  async function look() {
    try {
      const answer = await ask(`/v1/run?after=${next}`);
      fill(trouble);
      if (answer.next < next) {
        // the run was begun anew, or went on from an older checkpoint
        [events, next] = [[], 0];
        return window.setTimeout(look, 0);
      }
      name = answer.name;
      const changed = answer.events.length > 0 || finished !== answer.finished || next === 0;
      events.push(...answer.events);
      next = answer.next;
      finished = answer.finished;
      if (changed) redraw();
    } catch (error) {
      showError(trouble, error, null);
    }
    if (!finished) window.setTimeout(look, POLL);
  }

  function redraw() {
    if (name === null) return fill(place, make("p", { class: "quiet" }, say("noRun")));
    const points = events.filter((event) => event.event === "evaluation");
    const stop = events.findLast((event) => event.event === "stop");
    fill(
      place,
      make("p", { class: "run-state" },
        make("span", { class: `badge ${finished ? "fine" : "live"}` }, say(finished ? "runDone" : "runLive")),
        " ", make("strong", {}, name), " ",
        make("span", { class: "quiet" }, stop?.reason ?? lastOf(points))),
      points.length === 0 ? make("p", {}, say("noEvaluation")) : charts(points),
    );
  }

  return {
    open(models) {
      if (models.run) look();
      redraw();
    },
    redraw,
  };
}

function lastOf(points) {
  const last = points.at(-1);
  return last ? say("runAt", { update: number(last.update, 0), epoch: last.epoch + 1 }) : "";
}

function charts(points) {
  const minutes = points.map((point) => point.seconds / 60);
  const series = (key) => points.map((point) => point[key] ?? null);
  const metric = METRICS.find((key) => points.some((point) => Number.isFinite(point[key])));
  const best = points.findLastIndex((point) => point.best);
  const panels = [
    lineChart(say("lossChart"), minutes, [
      { name: say("heldOutLoss"), values: series("loss"), kind: "solid" },
      { name: say("trainingLoss"), values: series("train_loss"), kind: "dotted" },
    ], best),
  ];
  if (metric) {
    const name = say(`metric_${metric}`);
    panels.push(lineChart(name, minutes, [{ name, values: series(metric), kind: "solid" }], best));
  }
  const keys = ["loss", "train_loss", "perplexity", ...METRICS];
  const present = keys.filter((key) => points.some((point) => Number.isFinite(point[key])));
  const heads = [say("update"), say("minutes"), ...present.map((key) => say(`metric_${key}`))];
  const rows = points.map((point, index) => [
    number(point.update, 0),
    number(minutes[index], 1),
    ...present.map((key) => number(point[key])),
  ]);
  return [
    make("div", { class: "side-by-side charts" }, ...panels),
    asText(say("asTable"), () => table(say("trainingTable"), heads, rows)),
  ];
}
