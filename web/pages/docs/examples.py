"""Commands to copy; BASE is replaced by the base URL. The tests run each of them."""

from web.openapi.parameters import SAMPLE

_DATA = f"BASE/v4/workflows/{SAMPLE}/data"
_EXPORT = f"{_DATA}/export"

EXAMPLES = {
    "The latest run as CSV": f'curl -s -H "x-api-key: $KEY" {_EXPORT}',
    "Filtered and sorted, as JSON": f"""\
curl -s -G -H "x-api-key: $KEY" {_EXPORT} \\
  -d format=json -d sortBy=price.amount -d order=desc \\
  --data-urlencode 'filters=[{{"field":"title","operator":"CONTAINS","value":"lamp"}}]'""",
    "A long list of row ids, in the body": f"""\
curl -s -H "x-api-key: $KEY" {_EXPORT} \\
  -d '{{"rowIds":["SKU-000007","SKU-000011"],"includeRowIds":true}}'""",
    "The result of a SQL statement, as Parquet": f"""\
curl -s -H "x-api-key: $KEY" {_DATA}/query/export \\
  -d '{{"sql":"FROM data WHERE rating > $least","params":{{"least":4.5}},"format":"parquet"}}'""",
    "Asynchronous: a 202 with the address of the status": f"""\
curl -s -i -H "x-api-key: $KEY" -H "Prefer: respond-async" \\
  {_EXPORT}""",
    "Download the file from the url in the response": """\
curl -s -O -J "$URL\"""",
}
