using System.Net.Http.Headers;
using System.Text;
using System.Text.Json;
using System.Text.Json.Nodes;
using System.Text.RegularExpressions;
using Platform.Domain.Daemons.Format;
using Platform.Hosting.Http;

namespace Platform.EndToEnd.Tests;

/// <summary>docs/http-api.md and openapi.json, held against the server.</summary>
[Collection(nameof(On_one_server))]
public sealed partial class Http_api_as_documented(A_server on)
{
    private readonly Server server = on.Server;

    private static JsonObject Document { get; } = JsonNode.Parse(OpenApiDocument.Bytes.Span)!.AsObject();

    [GeneratedRegex(@"^```http (?<status>\d{3})\n(?<method>[A-Z]+) (?<path>\S+)\n(?<headers>(?:[A-Za-z-]+: [^\n]*\n)*)(?:\n(?<body>.*?))?```$(?:\n```json\n(?<answer>.*?)^```$)?", RegexOptions.Singleline | RegexOptions.Multiline | RegexOptions.CultureInvariant)]
    private static partial Regex Example();

    [Fact]
    public async Task Every_example_answers_as_shown()
    {
        var text = await File.ReadAllTextAsync(Path.Combine(PlatformProcess.Root, "docs", "http-api.md"), TestContext.Current.CancellationToken);
        var examples = Example().Matches(text);
        Assert.Equal(Regex.Count(text, "^```http", RegexOptions.Multiline), examples.Count);
        var (run, undo) = ("", "");
        foreach (Match example in examples)
        {
            string Filled(string group) => example.Groups[group].Value.Replace("{run}", run, StringComparison.Ordinal).Replace("{undo}", undo, StringComparison.Ordinal);
            var (method, path) = (example.Groups["method"].Value, Filled("path"));
            var request = new HttpRequestMessage(new HttpMethod(method), path);
            var headers = example.Groups["headers"].Value.Split('\n', StringSplitOptions.RemoveEmptyEntries).Select(line => line.Split(": ", 2)).ToList();
            if (example.Groups["body"].Success)
            {
                request.Content = new StringContent(Filled("body"), Encoding.UTF8);
                request.Content.Headers.ContentType = MediaTypeHeaderValue.Parse(headers.Single(header => header[0] == "Content-Type")[1]);
            }

            var answer = await server.Send(request, [.. headers.Where(header => header[0] != "Content-Type").Select(header => (header[0], header[1]))]);
            Assert.True((int)answer.Status == int.Parse(example.Groups["status"].ValueSpan, System.Globalization.CultureInfo.InvariantCulture), $"{example.Value}\n{answer}");
            if (!example.Groups["answer"].Success) { continue; }
            AssertHolds(JsonNode.Parse(example.Groups["answer"].Value), answer.Json, $"{method} {path}");
            AssertFits(method, path, answer);
            if (run.Length == 0) { run = (string)answer.Json["id"]!; }
            if (path.StartsWith("/v1/undos?", StringComparison.Ordinal)) { undo = (string)answer.Json["id"]!; }
        }
    }

    [Fact]
    public void The_openapi_document_has_every_endpoint_and_no_other()
    {
        var documented = Document["paths"]!.AsObject().SelectMany(path => path.Value!.AsObject().Select(operation => $"{operation.Key.ToUpperInvariant()} {path.Key}")).Order();
        string[] others = ["GET /health/live", "GET /health/ready", "GET /openapi.json", "GET /schemas/daemon.json"];
        Assert.Equal(HttpApi.Endpoints.Select(endpoint => $"{endpoint.Method} {endpoint.Pattern}").Concat(others).Order(), documented);
        Assert.All(References(Document), reference => Assert.NotNull(reference.Split('/').Skip(1).Aggregate((JsonNode?)Document, (node, name) => node?[name])));
        foreach (var endpoint in HttpApi.Endpoints)
        {
            var parameters = Document["paths"]![endpoint.Pattern]![endpoint.Method.ToLowerInvariant()]!["parameters"]?.AsArray().Select(p => (string)p!["$ref"]!).ToList() ?? [];
            Assert.Equal(endpoint.Waits, parameters.Contains("#/components/parameters/wait"));
        }
    }

    [Fact]
    public async Task Answers_fit_the_openapi_document()
    {
        var folder = Directory.CreateDirectory(Path.Combine(on.Place.Root, "documented")).FullName;
        var run = await server.Post("/v1/runs?wait=60", new JsonObject { ["daemon"] = Daemons.Files, ["inputs"] = new JsonObject { ["folder"] = folder } });
        AssertFits("POST", "/v1/runs", run);
        var id = (string)run.Json["id"]!;
        var failed = (string)(await server.Run("spec: daemon/v1\ndaemon:\n  name: Fails\n  stages:\n    - id: no\n      raise: { error: sorry, message: no }\n"))["id"]!;
        foreach (var path in (string[])[$"/v1/runs/{id}", $"/v1/runs/{failed}", "/v1/runs?limit=200", $"/v1/runs/{id}/events", $"/v1/runs/{id}/audit", "/v1/events?limit=500", "/v1/audit", "/health/ready", "/v1/runs/x", "/v1/runs?x=y"])
        {
            AssertFits("GET", path, await server.Get(path));
        }

        var selection = new JsonObject { ["run"] = id };
        AssertFits("POST", "/v1/undos/plan", await server.Post("/v1/undos/plan", selection));
        AssertFits("POST", "/v1/undos", await server.Post("/v1/undos?wait=60", selection));
        AssertFits("POST", $"/v1/runs/{id}/replay", await server.Post($"/v1/runs/{id}/replay", new JsonObject()));
        AssertFits("POST", $"/v1/runs/{id}/fork", await server.Post($"/v1/runs/{id}/fork", new JsonObject { ["from"] = "nowhere" }));
    }

    /// <summary>The answer's status is among those that are said, and its body is of the form that is said for it.</summary>
    private static void AssertFits(string method, string path, Answer answer)
    {
        var parts = path.Split('?')[0].Split('/');
        var (_, item) = Document["paths"]!.AsObject().Single(known => known.Key.Split('/') is var pattern && pattern.Length == parts.Length && pattern.Zip(parts).All(pair => pair.First == pair.Second || pair.First.StartsWith('{') && pair.Second is not "plan" and not "check"));
        var responses = item![method.ToLowerInvariant()]!["responses"]!;
        var response = responses[((int)answer.Status).ToString(System.Globalization.CultureInfo.InvariantCulture)];
        Assert.True(response is not null, $"{method} {path} does not say that it answers {answer}");
        if (response["$ref"] is { } shared) { response = Document["components"]!["responses"]![((string)shared!).Split('/')[^1]]!; }
        var schema = (string)response["content"]![answer.ContentType!.MediaType!]!["schema"]!["$ref"]!;

        // The parts that the document names, as definitions of one schema.
        var whole = Document["components"]!["schemas"]!.ToJsonString().Replace("#/components/schemas/", "#/$defs/", StringComparison.Ordinal);
        using var combined = JsonDocument.Parse($"{{\"$ref\":\"#/$defs/{schema.Split('/')[^1]}\",\"$defs\":{whole}}}");
        using var body = JsonDocument.Parse(answer.Body);
        var errors = JsonSchema.Parse(combined.RootElement.Clone()).Validate(body.RootElement);
        Assert.True(errors.Count == 0, $"{method} {path}: {string.Join("; ", errors.Select(error => $"{error.Pointer} {error.Message}"))}\n{answer}");
    }

    /// <summary>Every member that is shown is there; "..." stands for any value, a list shows its beginning.</summary>
    private static void AssertHolds(JsonNode? shown, JsonNode? given, string where)
    {
        switch (shown)
        {
            case JsonObject members:
                foreach (var (name, value) in members)
                {
                    Assert.True(given is JsonObject o && o.ContainsKey(name), $"{where}: no {name} in {given?.ToJsonString()}");
                    AssertHolds(value, given![name], $"{where}/{name}");
                }

                break;
            case JsonArray items:
                Assert.True(given is JsonArray list && list.Count >= items.Count, $"{where}: {given?.ToJsonString()}");
                for (var i = 0; i < items.Count; i++) { AssertHolds(items[i], given![i], $"{where}/{i}"); }
                break;
            case JsonValue value when value.GetValueKind() == JsonValueKind.String && (string?)value == "...":
                Assert.NotNull(given);
                break;
            default:
                Assert.True(JsonNode.DeepEquals(shown, given), $"{where}: {given?.ToJsonString()} instead of {shown?.ToJsonString()}");
                break;
        }
    }

    private static IEnumerable<string> References(JsonNode? node) => node switch
    {
        JsonObject members => members.SelectMany(member => member.Key == "$ref" ? [(string)member.Value!] : References(member.Value)),
        JsonArray items => items.SelectMany(References),
        _ => [],
    };
}
