"""Names, regions and positions of the electrodes of simulated arrays."""

from raydistill.config.synthetic import MAX_ARRAYS
from raydistill.simulation.electrodes import ARRAYS, electrode_table


def test_arrays_are_as_many_as_a_configuration_may_have_and_only_the_first_follows_velocity():
    assert len(ARRAYS) == len({array.name for array in ARRAYS}) == MAX_ARRAYS
    assert [array.follows for array in ARRAYS] == ["velocity", "speed", "nothing", "nothing"]


def test_electrode_table_of_two_arrays_numbers_each_from_one_on_its_own_grid():
    table = electrode_table([5, 2])
    assert table.electrode == ("1", "2", "3", "4", "5", "1", "2")
    assert table.array == ("M1",) * 5 + ("S1",) * 2
    assert table.region == ("primary motor cortex",) * 5 + ("primary somatosensory cortex",) * 2
    assert table.x_um == (0, 400, 800, 0, 400, 0, 400)
    assert table.y_um == (0, 0, 0, 400, 400, 0, 0)
    assert table.z_um == (0,) * 7
