"""Networks by the name that a configuration gives them. Each has its sizes' dataclass beside it."""

from mimic.models.cnn_transformer import CnnTransformer, CnnTransformerConfig
from mimic.models.crdnn import Crdnn, CrdnnConfig

ENCODERS = {"crdnn": (Crdnn, CrdnnConfig)}
MASKS = {"cnn_transformer": (CnnTransformer, CnnTransformerConfig)}
