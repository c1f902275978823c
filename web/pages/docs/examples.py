"""Commands to copy; BASE becomes the service's own address. The suite runs each of them."""

_EXPORT = '"BASE/v4/workflows/$WORKFLOW/data/export"'

EXAMPLES = {
    "The latest run as CSV": f'curl -s -H "x-api-key: $KEY" {_EXPORT}',
    "Filtered and sorted, as JSON": f"""\
curl -s -G -H "x-api-key: $KEY" {_EXPORT} \\
  -d format=json -d sortBy=name -d order=desc \\
  --data-urlencode 'filters=[{{"field":"name","operator":"CONTAINS","value":"a"}}]'""",
    "Long lists of rows, in a body": f"""\
curl -s -H "x-api-key: $KEY" {_EXPORT} \\
  -d '{{"rowIds":["000000000000","000000000001"],"includeRowIds":true}}'""",
    "Without waiting: a 202, and where to ask": f"""\
curl -s -i -H "x-api-key: $KEY" -H "Prefer: respond-async" \\
  {_EXPORT}""",
    "The file, by the url of the answer": """\
curl -s -O -J "$URL\"""",
}
