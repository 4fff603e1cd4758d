"""tables.py make DIR: Parquet files of every codec, page version and encoding that pyarrow writes, in DIR.
tables.py compare DIR: FILE.json, what srar-cat makes of FILE.parquet, holds the values that pyarrow reads.
tables.py small DIR: a few small ones with the same rows, and these in rows.json (lib/table/testdata)."""
import base64
import datetime as dt
import decimal
import itertools
import json
import math
import pathlib
import random
import sys

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

CODECS = ["none", "snappy", "gzip", "zstd", "lz4"]


def table(rng, rows):
    """Rows of all types that data sets have, nested as verl nests them."""

    def maybe(make):
        return [make() if rng.random() < 0.8 else None for _ in range(rows)]

    def text():
        return rng.choice(["", "4", "a\r\nb", "\x00", "日本語 $x^2$", "é" * 70, "<SUGGEST> s\n<ANSWER> 4", f"problem {rng.random()}"])

    def integer(bits, signed):
        low, high = (-(2 ** (bits - 1)), 2 ** (bits - 1) - 1) if signed else (0, 2**bits - 1)
        return lambda: rng.choice([low, high, rng.randint(low, high), rng.randint(0, 100)])

    def real():
        return rng.choice([math.nan, math.inf, -math.inf, -0.0, 0.5, 1e300, 5e-324, rng.gauss(0, 1)])

    def moment():
        return dt.datetime(2026, 3, 5) + dt.timedelta(microseconds=rng.randint(-5 * 10**15, 5 * 10**15))

    def instant():
        return moment().replace(tzinfo=dt.timezone.utc)

    def message():
        return {"role": rng.choice(["system", "user"]), "content": text()}

    def some(make, most=3):
        return lambda: [make() for _ in range(rng.randint(0, most))]

    chat = pa.list_(pa.struct([("role", pa.string()), ("content", pa.string())]))
    columns = {
        "problem": ([text() for _ in range(rows)], pa.field("problem", pa.string(), nullable=False)),
        "count": ([integer(64, True)() for _ in range(rows)], pa.field("count", pa.int64(), nullable=False)),
        "ground_truth": (maybe(text), pa.string()),
        "large": (maybe(text), pa.large_string()),
        "category": (maybe(lambda: rng.choice("abc")), pa.dictionary(pa.int32(), pa.string())),
        "bool": (maybe(lambda: rng.random() < 0.5), pa.bool_()),
        "all_true": ([True] * rows, pa.bool_()),
        "float16": (maybe(lambda: np.float16(rng.gauss(0, 1))), pa.float16()),
        "float32": (maybe(lambda: float(np.float32(rng.choice([math.nan, math.inf, 0.1, rng.gauss(0, 1)])))), pa.float32()),
        "float64": (maybe(real), pa.float64()),
        "decimal": (maybe(lambda: decimal.Decimal(rng.randint(-(10**17), 10**17)).scaleb(-2)), pa.decimal128(20, 2)),
        "decimal_small": (maybe(lambda: decimal.Decimal(rng.randint(-999, 999)).scaleb(-3)), pa.decimal128(5, 3)),
        "decimal_wide": (maybe(lambda: decimal.Decimal(rng.randint(-(10**49), 10**49))), pa.decimal256(50, 0)),
        "date": (maybe(lambda: moment().date()), pa.date32()),
        "time_ms": (maybe(lambda: moment().replace(microsecond=7000).time()), pa.time32("ms")),
        "time_us": (maybe(lambda: moment().time()), pa.time64("us")),
        "moment_us": (maybe(moment), pa.timestamp("us")),
        "moment_ms_utc": (maybe(lambda: instant().replace(microsecond=120000)), pa.timestamp("ms", "UTC")),
        "binary": (maybe(lambda: rng.randbytes(rng.randint(0, 9))), pa.binary()),
        "fixed": (maybe(lambda: rng.randbytes(5)), pa.binary(5)),
        "nothing": ([None] * rows, pa.null()),
        "texts": (maybe(some(lambda: rng.choice([None, text()]))), pa.list_(pa.string())),
        "matrix": (maybe(some(lambda: rng.choice([None, [], [1, None, rng.randint(0, 9)]]))), pa.list_(pa.list_(pa.int32()))),
        "large_list": (maybe(some(rng.random)), pa.large_list(pa.float64())),
        "prompt": (maybe(some(message)), chat),
        "reward_model": (
            maybe(lambda: {"style": "rule", "ground_truth": rng.choice([None, text()])}),
            pa.struct([("style", pa.string()), ("ground_truth", pa.string())]),
        ),
        "extra_info": (
            maybe(lambda: {"index": rng.randint(0, 10**9), "answer": rng.choice([None, text()]), "need": {"turns": some(message)(), "score": rng.random()}}),
            pa.struct([("index", pa.int64()), ("answer", pa.string()), ("need", pa.struct([("turns", chat), ("score", pa.float64())]))]),
        ),
        "lookup": (maybe(lambda: [(f"k{i}", rng.choice([None, i])) for i in range(rng.randint(0, 3))]), pa.map_(pa.string(), pa.int64())),
    }
    for bits, signed in itertools.product([8, 16, 32, 64], [True, False]):
        kind = pa.type_for_alias(("int" if signed else "uint") + str(bits))
        columns[str(kind)] = (maybe(integer(bits, signed)), kind)
    fields = [f if isinstance(f, pa.Field) else pa.field(name, f) for name, (_, f) in columns.items()]
    return pa.table([pa.array(values, f.type) for (values, _), f in zip(columns.values(), fields)], schema=pa.schema(fields))


def make(top):
    rows = table(random.Random(1), 150)
    flat = [n for n in rows.column_names if not pa.types.is_nested(rows.schema.field(n).type)]
    kinds = {n: rows.schema.field(n).type for n in flat}
    texts = [n for n in flat if pa.types.is_string(kinds[n]) or pa.types.is_large_string(kinds[n]) or pa.types.is_binary(kinds[n])]
    numbers = [n for n in flat if pa.types.is_integer(kinds[n])]
    reals = [n for n in flat if pa.types.is_floating(kinds[n])]
    common = {"compression": "snappy", "write_page_checksum": True}
    written = {}
    for codec, version, dictionary, small in itertools.product(CODECS, ["1.0", "2.0"], [True, False], [True, False]):
        name = f"{codec}-v{version[0]}-{'dictionary' if dictionary else 'plain'}-{'small' if small else 'whole'}"
        more = {"data_page_size": 64, "write_batch_size": 8, "row_group_size": 40, "write_page_index": True} if small else {}
        written[name] = {"compression": codec, "data_page_version": version, "use_dictionary": dictionary, **more}
    for version in ["1.0", "2.0"]:
        encodings = dict.fromkeys(numbers, "DELTA_BINARY_PACKED") | dict.fromkeys(reals, "BYTE_STREAM_SPLIT") | {"bool": "RLE"}
        for of_texts in ["DELTA_LENGTH_BYTE_ARRAY", "DELTA_BYTE_ARRAY"]:
            written[f"{of_texts.lower()}-v{version[0]}"] = {
                **common, "use_dictionary": False, "data_page_version": version, "column_encoding": encodings | dict.fromkeys(texts, of_texts)}
    written["int96"] = {**common, "use_deprecated_int96_timestamps": True}
    written["item"] = {**common, "use_compliant_nested_type": False, "store_schema": False}
    written["one-row-groups"] = {**common, "row_group_size": 1}
    written["refused-brotli"] = {"compression": "brotli"}
    for name, options in written.items():
        pq.write_table(rows, top / f"{name}.parquet", **options)
    pq.write_table(rows.slice(0, 0), top / "empty.parquet")


def small(top):
    names = ["problem", "count", "ground_truth", "category", "bool", "all_true", "float64", "decimal", "moment_us", "texts", "prompt", "reward_model"]
    rows = table(random.Random(1), 24).select(names)
    deltas = {"problem": "DELTA_BYTE_ARRAY", "ground_truth": "DELTA_LENGTH_BYTE_ARRAY", "count": "DELTA_BINARY_PACKED", "bool": "RLE", "all_true": "RLE", "float64": "BYTE_STREAM_SPLIT"}
    for codec in CODECS:
        pq.write_table(rows, top / f"{codec}-v1.parquet", compression=codec, data_page_version="1.0", store_schema=False)
        pq.write_table(rows, top / f"{codec}-v2.parquet", compression=codec, data_page_version="2.0", use_dictionary=["category"], column_encoding=deltas, store_schema=False)
    # Pages without values are among these.
    pq.write_table(rows, top / "pages.parquet", data_page_version="2.0", data_page_size=16, write_batch_size=2, row_group_size=20, store_schema=False)
    pq.write_table(rows.select(["problem"]), top / "brotli.parquet", compression="brotli", store_schema=False)
    with open(top / "rows.json", "w", encoding="utf-8") as f:
        for row in rows.to_pylist():
            f.write(json.dumps({c.name: plain(row[c.name], c.type) for c in rows.schema}, ensure_ascii=False) + "\n")


def plain(v, kind):
    """The JSON of a value as srar writes it."""
    if v is None:
        return None
    if pa.types.is_dictionary(kind):
        return plain(v, kind.value_type)
    if pa.types.is_map(kind):
        return [{"key": plain(k, kind.key_type), "value": plain(x, kind.item_type)} for k, x in v]
    if pa.types.is_struct(kind):
        return {f.name: plain(v[f.name], f.type) for f in kind}
    if pa.types.is_list(kind) or pa.types.is_large_list(kind):
        return [plain(x, kind.value_type) for x in v]
    if pa.types.is_floating(kind):
        if not math.isfinite(v):
            return "NaN" if math.isnan(v) else "Infinity" if v > 0 else "-Infinity"
        return float(v) if kind == pa.float64() else float(str(np.float32(v)))
    if pa.types.is_decimal(kind):
        return f"{v:f}"
    if pa.types.is_timestamp(kind):
        text = v.replace(tzinfo=None).isoformat()
        return (text.rstrip("0") if "." in text else text) + ("Z" if kind.tz else "")
    if pa.types.is_time(kind):
        text = v.isoformat()
        return text.rstrip("0") if "." in text else text
    if pa.types.is_date(kind):
        return v.isoformat()
    if isinstance(v, bytes):
        return base64.b64encode(v).decode()
    return v


def compare(top):
    passed = 0
    for path in sorted(top.glob("*.parquet")):
        if path.name.startswith("refused"):
            continue
        want = pq.read_table(path)
        text = path.with_suffix(".json").read_text(encoding="utf-8")
        got = [json.loads(line) for line in text.split("\n") if line]
        assert len(got) == want.num_rows, f"{path.name}: {len(got)} rows, want {want.num_rows}"
        for field in want.schema:
            for i, v in enumerate(want[field.name].to_pylist()):
                v = plain(v, field.type)
                assert got[i][field.name] == v, f"{path.name}: row {i}: {field.name} is {got[i][field.name]!r}, want {v!r}"
        passed += 1
    print(f"{passed} passed, 0 failed")


{"make": make, "compare": compare, "small": small}[sys.argv[1]](pathlib.Path(sys.argv[2]))
