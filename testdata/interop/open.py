"""open.py DIR: pyarrow and duckdb open every artifact below DIR and agree on it."""
import pathlib
import sys

import duckdb
import pyarrow as pa
import pyarrow.parquet
from transformers import AutoModelForCausalLM, AutoTokenizer

top = pathlib.Path(sys.argv[1])
seen = 0
for path in sorted(top.rglob("*.arrow")):
    artifact = pa.ipc.open_stream(path).read_all()
    artifact.validate(full=True)
    for name in artifact.column_names:
        field = artifact.schema.field(name)
        assert field.nullable or artifact[name].null_count == 0, f"{path}: null in {name}"
    assert artifact.schema.metadata[b"srar.version"] == b"1", path
    ((rows,),) = duckdb.sql("select count(*) from artifact").fetchall()
    assert rows == artifact.num_rows, f"{path}: duckdb counts {rows}"
    seen += 1
for path in sorted(top.rglob("*.parquet")):
    ((rows,),) = duckdb.sql(f"select count(*) from '{path}'").fetchall()
    same = pa.ipc.open_stream(path.with_suffix(".arrow")).read_all()
    assert pyarrow.parquet.read_table(path).to_pylist() == same.to_pylist(), path
    assert rows == same.num_rows, path
    seen += 1
for path in sorted(top.rglob("config.json")):
    model, info = AutoModelForCausalLM.from_pretrained(path.parent, output_loading_info=True)
    assert not info["missing_keys"] and not info["unexpected_keys"], f"{path}: {info}"
    tok = AutoTokenizer.from_pretrained(path.parent)
    assert tok.decode(tok("Find 3*4-(5-2).")["input_ids"]) == "Find 3*4-(5-2).", path
    seen += 1
print(f"{seen} passed, 0 failed")
