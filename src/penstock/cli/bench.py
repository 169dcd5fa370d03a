"""`penstock bench`: speed and memory, compared with the hardware's limit in the same run."""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import typer

from penstock.cli.console import flush, note, path, write_json, write_line
from penstock.cli.line_output import Device, Threads
from penstock.runtime.engine_choice import EngineName

if TYPE_CHECKING:
    from penstock.bench.decoding_speed import DecodingSpeed
    from penstock.bench.length_cost import LengthCost
    from penstock.bench.process_speed import ProcessSpeed

app = typer.Typer(no_args_is_help=True, help="Measure speed and memory on this machine.")

AsJson = Annotated[bool, typer.Option("--json", help="Print one JSON object.")]
Overrides = Annotated[
    list[str] | None, typer.Option("--set", help="Override a key: --set model.cell=gru")
]


@app.command()
def train(
    context: typer.Context,
    config: Annotated[
        Path | None,
        typer.Argument(
            parser=path, help="Configuration; default: a built-in one (11.5 M parameters)."
        ),
    ] = None,
    overrides: Overrides = None,
    cell: Annotated[
        str | None, typer.Option(help="The recurrent cell; short for --set model.cell=CELL.")
    ] = None,
    vocab_size: Annotated[
        int, typer.Option(min=16, max=10**6, help="Vocabulary size of each side.")
    ] = 8000,
    batch_tokens: Annotated[
        int, typer.Option(min=32, max=10**6, help="Target tokens per batch.")
    ] = 1000,
    rounds: Annotated[int, typer.Option(min=1, max=10_000, help="Number of measurements.")] = 5,
    device: Device = "cpu",
    threads: Threads = None,
    processes: Annotated[
        int, typer.Option(min=1, max=1024, help="Compare so many processes with one.")
    ] = 1,
    as_json: AsJson = False,
) -> None:
    """Measure training speed against the limit set by the model's matrix products.

    With --processes, against one process with as many threads as all of them together.
    """
    from penstock.bench.thread_count import use_threads
    from penstock.bench.training_speed import measure_training
    from penstock.config import load_config, parse_config
    from penstock.runtime.device import choose_device

    use_threads(threads)
    default = {"model": {"tie_embeddings": "decoder", "variational_dropout": True}}
    keys = [*(overrides or []), *([f"model.cell={cell}"] if cell else [])]
    resolved = load_config(config, keys) if config else parse_config(default, keys, place="bench")
    if processes > 1:
        from penstock.bench.process_speed import measure_processes
        from penstock.training.process_group import training_processes

        with training_processes(processes, context.find_root().obj) as group:
            found = measure_processes(
                resolved.model,
                group,
                vocab_size=vocab_size,
                batch_tokens=batch_tokens,
                precision=resolved.training.precision,
                device=choose_device(device),
                rounds=rounds,
            )
        if group.is_first:
            _write_process_speed(found, as_json=as_json)
        return
    speed = measure_training(
        resolved.model,
        vocab_size=vocab_size,
        batch_tokens=batch_tokens,
        precision=resolved.training.precision,
        device=choose_device(device),
        rounds=rounds,
    )
    if as_json:
        write_json(asdict(speed))
        return
    write_line(
        f"{speed.cell}, {speed.parameters / 1e6:.1f} M parameters, {speed.precision}, "
        f"{speed.device}, {speed.threads} threads, batches of {speed.batch_tokens} target tokens"
    )
    write_line(f"training\t{speed.tokens_per_second:,.0f} target tokens/s")
    write_line(f"matrix products alone, fp32\t{speed.limit_fp32:,.0f}")
    write_line(f"matrix products alone, bf16\t{speed.limit_bf16:,.0f}")
    write_line(f"of the bf16 limit\t{speed.ratio_bf16:.2f}")
    if speed.busy is not None:
        write_line(f"kernels busy\t{speed.busy:.0%}")
    for part, seconds in speed.seconds_by_part.items():
        write_line(f"  {part}\t{seconds * 1e3:.1f} ms per update")


def _write_process_speed(found: ProcessSpeed, *, as_json: bool) -> None:
    if as_json:
        write_json(asdict(found))
        return
    count, threads = found.processes, found.threads
    write_line(
        f"{found.parameters / 1e6:.1f} M parameters, {found.precision}, {found.device}, a batch of "
        f"{found.batch_tokens} target tokens per process and update"
    )
    write_line(f"1 process, {count * threads} threads\t{found.alone:,.0f} target tokens/s")
    write_line(f"{count} processes, {threads} threads each\t{found.together:,.0f} target tokens/s")
    write_line(f"speed-up\t{found.speed_up:.2f}")
    write_line(
        f"summing the gradients\t{found.communication_seconds * 1e3:.1f} ms, "
        f"{found.communication_share:.0%} of an update"
    )


@app.command()
def translate(
    model: Annotated[
        Path | None,
        typer.Option(
            "--model", "-m", parser=path, help="Run directory or bundle; default: random weights."
        ),
    ] = None,
    data: Annotated[
        str | None, typer.Option("--input", "-i", help="File to translate; default: random text.")
    ] = None,
    config: Annotated[
        Path | None,
        typer.Option(parser=path, help="Configuration of the random model; default: built-in."),
    ] = None,
    sentences: Annotated[int, typer.Option(min=1, max=10**6, help="Number of sentences.")] = 256,
    batch: Annotated[int, typer.Option(min=1, max=10_000, help="Sentences per batch.")] = 64,
    beam_size: Annotated[int, typer.Option(min=1, max=1000, help="Beam size.")] = 5,
    rounds: Annotated[int, typer.Option(min=1, max=10_000, help="Number of measurements.")] = 3,
    engine: Annotated[
        EngineName, typer.Option(help="Engine to measure; auto: every one that runs the model.")
    ] = "auto",
    device: Device = "cpu",
    threads: Threads = None,
    as_json: AsJson = False,
) -> None:
    """Measure decoding speed of each engine against the limit set by the matrix products.

    With --device cuda: of the search that runs there, and how busy its kernels are.
    """
    from penstock.bench.decoding_speed import decoding_work, measure_decoding
    from penstock.bench.thread_count import use_threads

    count = use_threads(threads)
    if device != "cpu":
        _translate_on(device, model, data, config, sentences, batch, beam_size, rounds, as_json)
        return
    contenders, network, sources = decoding_work(
        model, data, config, sentences, engine=engine, threads=count
    )
    if not as_json:
        write_line(
            f"{count} threads\nsearch\tengine\tprecision\tbatch\tsentences/s\t"
            "ms per batch\tof the fp32 limit\tof the bf16 limit\tms reading weights once per step\t"
            "in products %"
        )
    rows: list[DecodingSpeed] = []
    cases: list[tuple[Literal["beam", "greedy"], int]] = [
        (search, together)
        for together in dict.fromkeys((batch, 1))
        for search in ("beam", "greedy")
    ]
    for search, together in cases:
        found = measure_decoding(
            contenders, network, sources if together > 1 else sources[:20],
            search=search, batch=together, beam_size=beam_size, rounds=rounds,
        )  # fmt: skip
        rows += found
        if not as_json:
            for own in found:
                write_line(_as_row(own))
            flush()
    if as_json:
        write_json({"threads": count, "rows": [asdict(row) for row in rows]})


def _translate_on(
    device: str,
    model: Path | None,
    data: str | None,
    config: Path | None,
    sentences: int,
    batch: int,
    beam_size: int,
    rounds: int,
    as_json: bool,
) -> None:
    from penstock.bench.decoding_speed import decoding_work
    from penstock.bench.device_speed import measure_on_device
    from penstock.runtime.device import choose_device

    place = choose_device(device)
    _, network, sources = decoding_work(model, data, config, sentences, engine="torch")
    searches: list[Literal["beam", "greedy"]] = ["beam", "greedy"]
    found = [
        measure_on_device(
            network, sources, place, search=search, batch=batch, beam_size=beam_size, rounds=rounds
        )
        for search in searches
    ]
    if as_json:
        write_json({"rows": [asdict(row) for row in found]})
        return
    write_line("search\tdevice\tprecision\tbatch\tsentences/s\tms per batch\tkernels busy %")
    for row in found:
        busy = "-" if row.busy is None else f"{100 * row.busy:.0f}"
        write_line(
            f"{row.search}\t{row.device}\t{row.precision}\t{row.batch}\t"
            f"{row.sentences_per_second:.1f}\t{row.milliseconds:.1f}\t{busy}"
        )


def _as_row(speed: DecodingSpeed) -> str:
    reading = "-" if speed.weights_milliseconds is None else f"{speed.weights_milliseconds:.0f}"
    products = "-" if speed.shares is None else f"{100 * speed.shares['products']:.0f}"
    return (
        f"{speed.search}\t{speed.engine}\t{speed.precision}\t{speed.batch}\t"
        f"{speed.sentences_per_second:.1f}\t{speed.milliseconds:.1f}\t"
        f"{speed.ratio_fp32:.2f}\t{speed.ratio_bf16:.2f}\t{reading}\t{products}"
    )


@app.command()
def memory(
    pairs: Annotated[
        str, typer.Option(help="Corpus sizes to compare.")
    ] = "100000,1000000,3000000,10000000",
    updates: Annotated[int, typer.Option(min=1, max=10**6, help="Training updates.")] = 300,
    folder: Annotated[
        Path | None, typer.Option(parser=path, help="Folder for temporary files.")
    ] = None,
    as_json: AsJson = False,
) -> None:
    """Measure the peak memory of tokenization and training on generated corpora."""
    from penstock.bench.peak_memory import extrapolate, measure_memory
    from penstock.errors import UsageError

    try:
        sizes = [int(size) for size in pairs.split(",")]
    except ValueError:
        raise UsageError(f"--pairs {pairs!r}: give numbers, as in 100000,10000000") from None
    results = measure_memory(sizes, updates=updates, folder=folder, say=note)
    growth = results[-1].peak_megabytes - results[0].peak_megabytes
    memory, disk = extrapolate(results)
    if as_json:
        found = {"growth_megabytes": growth, "megabytes_of_100_million": memory}
        runs = [asdict(r) for r in results]
        write_json({"runs": runs, **found, "disk_megabytes_of_100_million": disk})
        return
    for result in results:
        write_line(
            f"{result.pairs:,} pairs\t{result.peak_megabytes:,.0f} MB\t{result.seconds:.0f} s\t"
            f"{result.disk_megabytes:,.0f} MB on disk"
        )
    write_line(f"growth\t{growth:,.0f} MB")
    write_line(f"100,000,000 pairs\t{memory:,.0f} MB\textrapolated\t{disk:,.0f} MB on disk")


@app.command()
def prepare(
    pairs: Annotated[int, typer.Option(min=1000, max=10**9, help="Generated pairs.")] = 300_000,
    processes: Annotated[str, typer.Option(help="Numbers of processes to compare.")] = "1,2",
    files: Annotated[int, typer.Option(min=1, max=1000, help="Files of the corpus.")] = 8,
    folder: Annotated[
        Path | None, typer.Option(parser=path, help="Folder for temporary files.")
    ] = None,
    as_json: AsJson = False,
) -> None:
    """Measure how much faster several processes read and tokenize a large corpus."""
    from penstock.bench.preparation_speed import measure_preparation
    from penstock.errors import UsageError

    counts = [int(number) for number in processes.split(",") if number.isdecimal()]
    if not counts or min(counts) < 1 or len(counts) != len(processes.split(",")):
        raise UsageError(f"--processes {processes!r}: give numbers, as in 1,2")
    found = measure_preparation(pairs, counts, files=files, folder=folder, say=note)
    if as_json:
        write_json([asdict(each) for each in found])
        return
    write_line("processes\tseconds\tprocessor seconds\tof the first\tspeed-up")
    for each in found:
        write_line(
            f"{each.processes}\t{each.seconds:.1f}\t{each.processor_seconds:.1f}\t"
            f"{each.own_seconds:.1f}\t{found[0].seconds / each.seconds:.2f}"
        )


@app.command()
def recurrence(
    cell: Annotated[str, typer.Option(help="Cell that torch.nn has too.")] = "lstm",
    input_size: Annotated[int, typer.Option(min=1, max=65_536, help="Input size.")] = 256,
    hidden_size: Annotated[int, typer.Option(min=1, max=65_536, help="Hidden size.")] = 512,
    batch: Annotated[int, typer.Option(min=1, max=100_000, help="Batch size.")] = 72,
    steps: Annotated[int, typer.Option(min=1, max=100_000, help="Time steps.")] = 14,
    as_json: AsJson = False,
) -> None:
    """Compare one recurrent layer, forward and backward, with torch.nn's."""
    from penstock.bench.recurrence import measure_recurrence

    found = measure_recurrence(cell, input_size, hidden_size, batch, steps)
    if as_json:
        write_json(found)
        return
    write_line("precision\tlengths\tpenstock ms\ttorch ms\tratio")
    for row in found:
        write_line(
            f"{row['precision']}\t{row['lengths']}\t{row['penstock_ms']:.1f}\t"
            f"{row['torch_ms']:.1f}\t{row['ratio']:.2f}"
        )


@app.command()
def hmm(
    states: Annotated[int, typer.Option(min=1, max=10_000, help="Number of hidden states.")] = 64,
    steps: Annotated[int, typer.Option(min=2, max=10**6, help="Time steps.")] = 1000,
    batch: Annotated[int, typer.Option(min=1, max=100_000, help="Batch size.")] = 32,
    precision: Annotated[Literal["float32", "float64"], typer.Option(help="Dtype.")] = "float32",
    rounds: Annotated[int, typer.Option(min=1, max=10_000, help="Number of measurements.")] = 9,
    threads: Threads = None,
    as_json: AsJson = False,
) -> None:
    """Measure an HMM's forward-backward pass against its matrix products alone."""
    from penstock.bench.hmm_speed import measure_hmm
    from penstock.bench.thread_count import use_threads

    use_threads(threads)
    speed = measure_hmm(states, steps, batch, precision=precision, rounds=rounds)
    if as_json:
        write_json(asdict(speed))
        return
    write_line(
        f"{states} states, {steps:,} steps, {batch} sequences, {precision}, {speed.threads} threads"
    )
    write_line(f"forward-backward and posteriors\t{speed.forward_backward_ms:.1f} ms")
    write_line(f"Viterbi\t{speed.viterbi_ms:.1f} ms")
    write_line(f"matrix products alone\t{speed.products_ms:.1f} ms")
    write_line(f"forward-backward over products\t{speed.ratio:.1f}")


@app.command()
def scale(
    cells: Annotated[str, typer.Option(help="Cells to compare.")] = "lstm,ssru",
    lengths: Annotated[str, typer.Option(help="Lengths in tokens.")] = "100,1000,10000,100000",
    as_json: AsJson = False,
) -> None:
    """Measure time and memory by the length of a text, for a language model and a classifier."""
    from penstock.bench.length_cost import growth, measure_lengths
    from penstock.config import cell_entry
    from penstock.errors import UsageError

    try:
        names = [name.strip() for name in cells.split(",")]
        for name in names:
            cell_entry(name)
        sizes = [int(length) for length in lengths.split(",")]
    except ValueError as error:
        raise UsageError(f"--cells {cells} --lengths {lengths}: {error}") from None
    if len(sizes) < 2 or sizes != sorted({*sizes}) or not 1 <= sizes[0] < sizes[-1] <= 10**7:
        raise UsageError(
            f"--lengths {lengths}: give two or more rising numbers from 1 to 10,000,000, as in "
            "100,10000"
        )
    found: list[LengthCost] = []
    if not as_json:
        write_line("network\tcell\ttokens\tuse s\ttraining s\ttraining MB")
    for cost in measure_lengths(names, sizes):
        found.append(cost)
        if as_json:
            continue
        write_line(
            f"{cost.network}\t{cost.cell}\t{cost.length}\t{cost.use_seconds:.3f}\t"
            f"{cost.training_seconds:.3f}\t{cost.training_megabytes:.0f}"
        )
        flush()
    series = [found[i : i + len(sizes)] for i in range(0, len(found), len(sizes))]
    exponents = [
        {"network": own[-1].network, "cell": own[-1].cell,
         "use": growth(own[-2:], "use_seconds"), "training": growth(own[-2:], "training_seconds"),
         "memory": growth(own[-2:], "training_megabytes")}
        for own in series
    ]  # fmt: skip
    if as_json:
        write_json({"costs": [asdict(cost) for cost in found], "exponents": exponents})
        return
    write_line("from the last length but one to the last, as a power of the length:")
    for row in exponents:
        write_line(
            f"{row['network']}\t{row['cell']}\t\t{row['use']:.2f}\t{row['training']:.2f}\t"
            f"{row['memory']:.2f}"
        )
