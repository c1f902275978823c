"""Commands to copy; BASE is replaced by the base URL. The tests run each of them."""

_EXPORT = '"BASE/v4/workflows/$WORKFLOW/data/export"'

EXAMPLES = {
    "The latest run as CSV": f'curl -s -H "x-api-key: $KEY" {_EXPORT}',
    "Filtered and sorted by the column name, as JSON": f"""\
curl -s -G -H "x-api-key: $KEY" {_EXPORT} \\
  -d format=json -d sortBy=name -d order=desc \\
  --data-urlencode 'filters=[{{"field":"name","operator":"CONTAINS","value":"a"}}]'""",
    "A long list of row ids, in the body": f"""\
curl -s -H "x-api-key: $KEY" {_EXPORT} \\
  -d '{{"rowIds":["000000000000","000000000001"],"includeRowIds":true}}'""",
    "The result of a SQL statement, as Parquet": """\
curl -s -H "x-api-key: $KEY" "BASE/v4/workflows/$WORKFLOW/data/query/export" \\
  -d '{"sql":"SELECT * FROM data WHERE _row_id > $first","params":{"first":"000000000000"},"format":"parquet"}'""",
    "Asynchronous: a 202 with the address of the status": f"""\
curl -s -i -H "x-api-key: $KEY" -H "Prefer: respond-async" \\
  {_EXPORT}""",
    "Download the file from the url in the response": """\
curl -s -O -J "$URL\"""",
}
