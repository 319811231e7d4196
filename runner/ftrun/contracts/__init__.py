"""The contract between the core and plugins: the kinds of component, and what passes between them.

A component is light: a name, a sentence, the class of its settings and functions. What those functions import they
import when called, so that a catalogue of components costs nothing (see `hookspecs.py` for how a plugin offers them).

Where a component has something to say against its settings it gives, or raises an `ExperimentError` of, `Problem`s.
The place of a problem is a key of the component's own table, such as `max_length`; one that begins with a table of the
file, such as `training.device`, is the file's.
"""

from ftrun.contracts.components import (
    COMPONENTS,
    CONTRACT_VERSION,
    KINDS,
    Backend,
    Collator,
    Component,
    Dataset,
    Direction,
    Kind,
    Metric,
    Model,
    Need,
    needs_nothing,
)
from ftrun.contracts.data import (
    BuiltModel,
    Collate,
    Encode,
    EncodedRows,
    Evaluator,
    ModelOutput,
    OwnCheckpoints,
    Predictions,
    Rows,
    Splits,
    Task,
    Tokenizer,
    TrainableModel,
)
from ftrun.contracts.training import (
    BackendSession,
    BestBy,
    ChecksModels,
    EvaluationReport,
    FitResult,
    Job,
    Reporter,
    StepReport,
)

__all__ = [
    "COMPONENTS",
    "CONTRACT_VERSION",
    "KINDS",
    "Backend",
    "BackendSession",
    "BestBy",
    "BuiltModel",
    "ChecksModels",
    "Collate",
    "Collator",
    "Component",
    "Dataset",
    "Direction",
    "Encode",
    "EncodedRows",
    "EvaluationReport",
    "Evaluator",
    "FitResult",
    "Job",
    "Kind",
    "Metric",
    "Model",
    "ModelOutput",
    "Need",
    "OwnCheckpoints",
    "Predictions",
    "Reporter",
    "Rows",
    "Splits",
    "StepReport",
    "Task",
    "Tokenizer",
    "TrainableModel",
    "needs_nothing",
]
