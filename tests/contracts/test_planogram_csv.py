"""Planograms from tables: what is read, and what is said about rows that cannot be."""

from __future__ import annotations

from contextlib import suppress
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from shelf_contracts.errors import FileProblems
from shelf_contracts.files import read_text
from shelf_contracts.planogram import Planogram
from shelf_contracts.planogram_csv import BaySize, planogram_from_csv

SIZE = BaySize(width_mm=1000, shelf_height_mm=300, shelf_depth_mm=400)

TABLE = """shelf,slot,product,gtin,name,width_mm,height_mm,depth_mm,x_mm,facings_h,facings_v,facings_d,capacity
top,s1-01,beans,4006381333931,Beans,80,110,80,,3,2,5,24
top,,peas,,Peas,100,90,100,,2,,,
low,,milk,,Milk,"70,5",240,70.5,300,4,,,
"""


def read(text: str) -> Planogram:
    return planogram_from_csv(Path("plan.csv"), text, store="s", bay="a01", size=SIZE)


def problems(text: str) -> list[str]:
    with pytest.raises(FileProblems) as caught:
        read(text)
    return [str(problem) for problem in caught.value.problems]


def test_slots_stand_side_by_side_on_shelves_from_top_to_bottom() -> None:
    plan = read(TABLE)
    assert (plan.width, plan.height) == (1000, 600)
    assert [(fixture.id, fixture.y, fixture.d) for fixture in plan.fixtures] == [
        ("t1-top", 0, 400),
        ("t2-low", 300, 400),
    ]
    beans, peas, milk = plan.positions
    assert (beans.id, beans.x, beans.y, beans.w, beans.h) == ("s1-01", 0, 80, 240, 220)
    assert (beans.facings.items, beans.capacity, beans.min_presentation) == (30, 24, 3)
    assert (peas.id, peas.x, peas.facings.d, peas.capacity) == ("s1-02", 240, 4, 8)
    assert (milk.id, milk.x, milk.w, milk.facings.d) == ("s2-01", 300, 282, 5)
    assert plan.product_of("s1-01").gtin == "04006381333931"


@pytest.mark.parametrize("delimiter", [";", "\t"])
def test_other_columns_and_other_spreadsheets(delimiter: str) -> None:
    rows = [["Shelf", "Product", "Width mm", "Height_mm", "our own column"], ["1", "beans", "80,5", "110", "x"]]
    plan = read("\ufeff" + "\r\n".join(delimiter.join(row) for row in rows) + "\r\n\r\n")
    assert plan.positions[0].w == 80.5


def test_every_problem_of_the_table_is_told_at_once_with_its_line() -> None:
    text = "shelf,product,width_mm,height_mm,gtin,facings_h\ntop,beans,wide,110,400638133393,2.5\n,peas,100,,,\n"
    assert problems(text) == [
        "line 2, width_mm = 'wide': must be a number of mm",
        "line 2, facings_h = '2.5': must be a whole number",
        "line 2, gtin = '400638133393': the check digit is 3 but should be 0; spreadsheets turn long numbers into "
        "4.00638E+12: make the column text and export again",
        "line 3, shelf = empty: must be given",
        "line 3, height_mm = empty: must be given",
    ]


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("", "(whole file) = empty: must hold a heading with shelf, product, width_mm, height_mm"),
        ("shelf,product\n1,a\n", "heading = 'shelf, product': must hold width_mm; all that is known: shelf, product,"),
        ("shelf,product,width_mm,height_mm\n", "(whole file) = a heading and no row: must hold one row a slot"),
        ("shelf,shelf,product,width_mm,height_mm\n1,1,a,1,1\n", "heading = shelf: must stand there once"),
        ("shelf,product,width_mm,height_mm\n1,a,600,9\n1,b,600,9\n", "line 3, x + w = 600 + 600 mm: must lie within"),
        ("shelf,product,width_mm,height_mm\n1,a,60,301\n", "line 2, height_mm = 301: must fit under the shelf above"),
        ("shelf,product,width_mm,height_mm\n1,a,-6,30\n", "line 2, w = -6.0: Input should be greater than 0"),
        (
            "shelf,product,width_mm,height_mm\n1,a,60,30\n1,a,61,30\n",
            "line 3, product = 'a': must have the size, GTIN and name that it has in line 2",
        ),
        (
            "shelf,slot,product,width_mm,height_mm\n1,x,a,60,30\n1,x,b,60,30\n",
            "line 3, id = 'x': must be used once, but positions[0] has it too; give it another",
        ),
        (
            "shelf,product,width_mm,height_mm,x_mm\n1,a,60,30,0\n1,b,60,30,20\n",
            "line 3 = 's1-02', over positions[0] 's1-01' by 40 x 30 mm: must not overlap another slot",
        ),
    ],
)
def test_what_is_wrong_is_named(text: str, says: str) -> None:
    assert any(problem.startswith(says) for problem in problems(text)), problems(text)


@given(st.text(max_size=300))
def test_any_text_is_a_planogram_or_a_list_of_problems(text: str) -> None:
    for whole in (text, "shelf,product,width_mm,height_mm\n" + text):
        with suppress(FileProblems):  # anything else is a crash
            assert read(whole).positions


def test_a_table_saved_by_an_old_spreadsheet_is_read(tmp_path: Path) -> None:
    (tmp_path / "a.csv").write_bytes("Café".encode("cp1252"))
    assert read_text(tmp_path / "a.csv") == "Café"
    (tmp_path / "b.csv").write_bytes(b"PK\x03\x04\x00\x00")
    with pytest.raises(FileProblems, match="is it a spreadsheet"):
        read_text(tmp_path / "b.csv")
