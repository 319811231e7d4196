"""What makes a folder that `save_pretrained` has written a model that MLflow can load and serve: the files beside it.

MLflow's own `save_model` would need torch and transformers, and write the weights once more.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ftrun.runs.records import ModelRecord

if TYPE_CHECKING:
    from mlflow.entities import LoggedModel
    from mlflow.models import Model

TEXT_INPUTS = ("text", "text_pair")
"""What transformers' pipeline calls the texts of a pair; it takes no other names."""
REQUIREMENTS, CONDA, PYTHON, EXAMPLE = "requirements.txt", "conda.yaml", "python_env.yaml", "input_example.json"
SERVING_EXAMPLE = "serving_input_example.json"
NOT_THE_MODELS = ("MLmodel", REQUIREMENTS, CONDA, PYTHON, EXAMPLE, SERVING_EXAMPLE)
"""What is beside a model's own files in MLflow."""
BUILD_PACKAGES = ("pip", "setuptools", "wheel")
TOKENIZER_FOLDER = "components/tokenizer"
"""Where MLflow looks for the tokenizer, of which there is no other way to tell it."""
OPENED_BY = "peft.PeftModel.from_pretrained, on that model with the task's classes; or ftrun predict"
"""What to do with an adapter, which MLflow has no way to load."""
WEIGHTS = (".safetensors", ".safetensors.index.json", ".bin", ".bin.index.json")
CONFIGS = ("config.json", "generation_config.json")
STATE = (".pt", ".pth", "trainer_state.json", "manifest.json")
"""How the names of files end that are for going on with a training alone."""


def model_files(folder: Path) -> Iterator[Path]:
    """What a model consists of: its weights, its configuration and its tokenizer, and nothing of a training's state."""
    return (file for file in sorted(folder.iterdir()) if file.is_file() and not file.name.endswith(STATE))


def tokenizer_files(folder: Path) -> Iterator[Path]:
    """Those of them that are the tokenizer's."""
    return (file for file in model_files(folder) if not file.name.endswith(WEIGHTS) and file.name not in CONFIGS)


def write_mlmodel(folder: Path, record: ModelRecord, model: LoggedModel, size: int) -> None:
    """Write what MLflow wants beside a model's own files.

    Args:
        folder: An empty one.
        record: What is known of the model.
        model: MLflow's, which is to hold the files.
        size: Bytes of the model's own files.
    """
    if record.adapter_of is None:
        _write_environment(folder, record)
        _write_example(folder, record)
    _mlmodel(record, model, size).save(str(folder / "MLmodel"))


def _mlmodel(record: ModelRecord, model: LoggedModel, size: int) -> Model:
    from mlflow.models import Model

    made = Model(
        artifact_path=model.artifact_location,
        run_id=model.source_run_id,
        model_id=model.model_id,
        model_uuid=model.model_id,
        model_size_bytes=size,
        signature=_signature(record) if record.adapter_of is None else None,
        saved_input_example_info=_example_info(record) if record.adapter_of is None else None,
        metadata={"adapter_of": record.adapter_of, "opened_by": OPENED_BY} if record.adapter_of else None,
    )
    if record.adapter_of is not None:  # MLflow would open the base with the base's own classes, and fail on the head
        return made
    made.add_flavor(
        "transformers",
        transformers_version=record.versions.get("transformers"),
        code=None,
        task="text-classification",
        instance_type="TextClassificationPipeline",
        pipeline_model_type=record.architecture,
        source_model_name=model.name,
        model_binary=".",  # the root, which `from_pretrained` opens, too
        components=["tokenizer"],
        tokenizer_type=record.tokenizer,
    )
    made.add_flavor(
        "python_function",
        loader_module="mlflow.transformers",
        python_version=record.versions.get("python"),
        env={"conda": CONDA, "virtualenv": PYTHON},
        config=_pipeline_settings(record),
    )
    return made


def _pipeline_settings(record: ModelRecord) -> dict[str, Any]:
    """How the pipeline is called, so that it says what the run's model says of the same texts."""
    cut = {} if record.max_length is None else {"truncation": True, "max_length": record.max_length}
    if record.task == "multi_label":
        return {**cut, "function_to_apply": "sigmoid", "top_k": None}
    return {**cut, "function_to_apply": "none"} if record.task == "regression" else cut


def _signature(record: ModelRecord) -> Any:
    from mlflow.models import ModelSignature
    from mlflow.types import ColSpec, Schema

    is_pair = len(record.texts) > 1
    texts: list[Any] = [ColSpec("string", name) for name in TEXT_INPUTS] if is_pair else [ColSpec("string")]
    if record.task == "multi_label":  # of several texts it gives a row of all classes each, of one a column: no schema
        return ModelSignature(Schema(texts))
    return ModelSignature(Schema(texts), Schema([ColSpec("string", "label"), ColSpec("double", "score")]))


def _example_info(record: ModelRecord) -> dict[str, str]:
    form = {"type": "dataframe", "pandas_orient": "split"} if len(record.texts) > 1 else {"type": "json_object"}
    return {"artifact_path": EXAMPLE, "serving_input_path": SERVING_EXAMPLE, **form}


def _write_example(folder: Path, record: ModelRecord) -> None:
    texts: Any = list(record.example)
    if len(texts) > 1:
        texts = {"columns": TEXT_INPUTS, "data": [texts]}
    served = {"dataframe_split" if len(record.texts) > 1 else "inputs": texts}
    for name, content in {EXAMPLE: texts, SERVING_EXAMPLE: served}.items():
        (folder / name).write_text(json.dumps(content, ensure_ascii=False), encoding="utf-8")


def _write_environment(folder: Path, record: ModelRecord) -> None:
    python = record.versions.get("python", "3.11")
    plain = {name: version.partition("+")[0] for name, version in record.versions.items() if name != "python"}
    pinned = [f"{name}=={version}" for name, version in plain.items()]  # a local build's label is on no index
    conda = ["name: mlflow-env", "channels:", "- conda-forge", "dependencies:", f"- python={python}", "- pip", "- pip:"]
    conda += [f"  - {line}" for line in pinned]
    own = [f"python: {python}", "build_dependencies:", *(f"- {name}" for name in BUILD_PACKAGES)]
    own += ["dependencies:", f"- -r {REQUIREMENTS}"]
    for name, lines in {REQUIREMENTS: pinned, CONDA: conda, PYTHON: own}.items():
        (folder / name).write_text("".join(f"{line}\n" for line in lines), encoding="utf-8")
