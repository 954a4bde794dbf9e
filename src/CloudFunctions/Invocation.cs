using System.Text;
using System.Text.Json;
using System.Text.Json.Nodes;
using Platform.Hosting.Http;
using Platform.Messaging;

namespace Platform.CloudFunctions;

/// <summary>
/// What the host posts for every trigger but HTTP in, HTTP out: <c>{"Data": {...}, "Metadata": {...}}</c>. Only Data is read. Metadata can be written by whoever
/// sends a message or a request: its own top-level properties and query keys stand there over the host's.
/// </summary>
internal static class Invocation
{
    /// <summary>A request of the API, each of its characters escaped, and the host's words around it.</summary>
    public const long MaxBytes = 4L * RequestBody.MaxBytes;

    /// <summary>Of two equal names two readers could each take another.</summary>
    private static readonly JsonDocumentOptions Strict = new() { MaxDepth = 64, AllowDuplicateProperties = false };

    /// <summary>The value of one binding; a text that holds JSON is read as that.</summary>
    /// <exception cref="ProblemException"/>
    public static async Task<JsonObject> Read(HttpRequest request, string binding, CancellationToken cancellation)
    {
        JsonNode? envelope;
        try { envelope = await JsonNode.ParseAsync(request.Body, documentOptions: Strict, cancellationToken: cancellation); }
        catch (JsonException) { throw Malformed("a body in JSON"); }
        return AsObject(envelope)?["Data"] is { } data && AsObject(data)?[binding] is { } value && Unwrap(value) is { } found ? found : throw Malformed($"Data.{binding}");
    }

    /// <summary>An HTTP request in an envelope, as an endpoint of the API takes it.</summary>
    /// <exception cref="ProblemException"/>
    public static ApiCall Call(JsonObject request, ApiCall call) => call with
    {
        Route = Texts(request["Params"]).ToDictionary(StringComparer.OrdinalIgnoreCase),
        Query = new ApiQuery(Texts(request["Query"])),
        Body = Bounded(Encoding.UTF8.GetBytes(Text(request["Body"]) ?? request["Body"]?.ToJsonString() ?? "")),
        IdempotencyKey = Key(AsObject(request["Headers"]) ?? []),
    };

    /// <summary>A message's name, to be sent to the queue that triggers its execution.</summary>
    public static string Hint(TenantId tenant, Guid id) => new JsonObject { ["tenant"] = tenant.Value, ["id"] = id.ToString() }.ToJsonString();

    /// <summary>As <see cref="Hint"/> wrote it, or anybody else with the queue's key. What it names is executed only if there is such a row.</summary>
    /// <exception cref="ProblemException"/>
    public static MessageRef Hinted(JsonObject hint) =>
        TenantId.TryParse(Text(hint["tenant"]), out var tenant) && Guid.TryParseExact(Text(hint["id"]), "D", out var id) ? new MessageRef(tenant, id) : throw Malformed("a tenant and an id");

    /// <summary>The answer that the host reads.</summary>
    /// <param name="response">Of an HTTP trigger.</param>
    public static JsonObject Outputs(IEnumerable<string> messages, ApiAnswer? response = null)
    {
        var outputs = new JsonObject { ["messages"] = new JsonArray([.. messages.Select(message => (JsonNode)message)]) };
        if (response is not null)
        {
            var headers = new JsonObject { ["Content-Type"] = response.ContentType };
            foreach (var (name, value) in response.Headers) { headers[name] = value; }
            outputs["res"] = new JsonObject { ["statusCode"] = response.Status, ["headers"] = headers, ["body"] = response.Body.ToJsonString() };
        }

        return new JsonObject { ["Outputs"] = outputs, ["Logs"] = new JsonArray(), ["ReturnValue"] = null };
    }

    private static ProblemException Malformed(string what) => new(new Problem("invocation.malformed", $"The invocation has not {what}.", 400));

    private static byte[] Bounded(byte[] body) => body.Length <= RequestBody.MaxBytes ? body : throw new ProblemException(Problems.OfStatus(StatusCodes.Status413PayloadTooLarge));

    private static string? Key(JsonObject headers)
    {
        var values = headers.Where(header => string.Equals(header.Key, "Idempotency-Key", StringComparison.OrdinalIgnoreCase)).SelectMany(header => header.Value is JsonArray several ? several.AsEnumerable() : [header.Value]).ToArray();
        return values.Length switch
        {
            0 => null,
            1 => Text(values[0]) ?? "",
            _ => throw new ProblemException(new Problem("http.header-twice", "The header Idempotency-Key is sent more than once.", 400)),
        };
    }

    private static JsonObject? AsObject(JsonNode? node) => node as JsonObject;

    /// <summary>The host encodes a string once more as JSON, and hands what it knows to be JSON over as it is.</summary>
    private static JsonObject? Unwrap(JsonNode value)
    {
        for (var layers = 0; value is JsonValue text && text.TryGetValue<string>(out var inner) && layers < 2; layers++)
        {
            try { value = JsonNode.Parse(inner, documentOptions: Strict)!; }
            catch (JsonException) { return null; }
        }

        return value as JsonObject;
    }

    private static string? Text(JsonNode? node) => node is JsonValue value && value.TryGetValue<string>(out var text) ? text : null;

    private static IEnumerable<KeyValuePair<string, string>> Texts(JsonNode? members) =>
        (AsObject(members) ?? []).Where(member => Text(member.Value) is not null).Select(member => KeyValuePair.Create(member.Key, Text(member.Value)!));
}
