"""Tools for those who keep the workbook: run, check and link the notebooks."""
