"""Networks by name, and by the file that holds them."""

import pytest

from mimic.errors import UserError
from mimic.nets import ENCODERS, MASKS, WAVES
from mimic.tasks import config as configuration

PLACE = "bilstm_mask:BilstmMask,BilstmMaskConfig"


def test_a_network_without_a_line_in_the_list(tmp_path):
    assert MASKS[PLACE] == MASKS["bilstm"] and (MASKS | WAVES)[PLACE] == MASKS["bilstm"]
    assert PLACE in MASKS and PLACE not in WAVES and PLACE not in list(MASKS)
    (tmp_path / "config.yaml").write_text(f"task: enhance\nnet: {PLACE}\nmodel: {{units: 4}}\n")
    assert configuration.read(tmp_path / "config.yaml").model.units == 4


@pytest.mark.parametrize("name", ["no_file:Net,Config", "os:system,path", "../nets/rnn:Rnn,Rnn", "rnn", ":", 3])
def test_what_is_no_network_of_the_folder(name):
    assert name not in MASKS and name not in ENCODERS


def test_a_file_without_the_class():
    with pytest.raises(UserError, match=r"bilstm_mask.py has no Missing$"):
        MASKS["bilstm_mask:BilstmMask,Missing"]
