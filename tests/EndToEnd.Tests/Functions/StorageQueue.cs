using System.Text.Json;
using System.Text.Json.Nodes;

namespace Platform.EndToEnd.Tests.Functions;

/// <param name="InvocationId">Stays the same when the host tries again.</param>
/// <param name="Dequeued">Deliveries, this one included.</param>
internal sealed record QueueMessage(string Text, Guid InvocationId, int Dequeued);

/// <summary>
/// A storage queue as seen from functions, at its worst: at least once, in no order. With mischief it also doubles messages, and loses some between an answer and
/// the queue, where no transaction reaches.
/// </summary>
#pragma warning disable CA5394 // Mischief is no secret, and is to be repeated by its seed.
internal sealed class StorageQueue(int seed, bool mischief)
{
    private readonly Random random = new(seed);
    private readonly List<QueueMessage> waiting = [];
    private readonly List<string> poison = [];
    private readonly Lock gate = new();

    public int Doubled { get; private set; }

    public int Lost { get; private set; }

    public IReadOnlyList<string> Poison
    {
        get { lock (gate) { return [.. poison]; } }
    }

    public int Count
    {
        get { lock (gate) { return waiting.Count; } }
    }

    /// <summary>As anybody with the queue's key can.</summary>
    public void Put(string text)
    {
        lock (gate) { waiting.Add(New(text)); }
    }

    /// <summary>By a function's output.</summary>
    public void Send(string text)
    {
        lock (gate)
        {
            if (mischief && random.Next(12) == 0)
            {
                Lost++;
                return;
            }

            waiting.Add(New(text));
            if (!mischief || random.Next(4) != 0) { return; }
            Doubled++;
            waiting.Add(New(text));
        }
    }

    /// <summary>Any one of those that wait.</summary>
    public QueueMessage? Take()
    {
        lock (gate)
        {
            if (waiting.Count == 0) { return null; }
            var at = mischief ? random.Next(waiting.Count) : 0;
            var taken = waiting[at];
            waiting.RemoveAt(at);
            return taken with { Dequeued = taken.Dequeued + 1 };
        }
    }

    /// <summary>Its invocation failed: it is visible again, or poison.</summary>
    public void Return(QueueMessage message, int maxDequeueCount)
    {
        lock (gate)
        {
            if (message.Dequeued >= maxDequeueCount) { poison.Add(message.Text); }
            else { waiting.Add(message); }
        }
    }

    private static QueueMessage New(string text) => new(text, Guid.NewGuid(), 0);
}
#pragma warning restore CA5394

/// <summary>Envelopes in the form that the host gives them.</summary>
internal static class Envelopes
{
    public static JsonObject Of(QueueMessage message, string name)
    {
        var metadata = new JsonObject
        {
            ["DequeueCount"] = Scalar(message.Dequeued),
            ["ExpirationTime"] = Scalar("2026-12-04T00:00:00+00:00"),
            ["Id"] = Scalar(Guid.NewGuid()),
            ["InsertionTime"] = Scalar("2026-11-27T00:00:00+00:00"),
            ["NextVisibleTime"] = Scalar("2026-11-27T00:10:00+00:00"),
            ["PopReceipt"] = Scalar("AgAAAAMAAAAAAAAA"),
            ["sys"] = Sys(),
        };

        // A sender's own top-level properties stand over the trigger's.
        try
        {
            using var body = JsonDocument.Parse(message.Text);
            if (body.RootElement.ValueKind == JsonValueKind.Object)
            {
                foreach (var property in body.RootElement.EnumerateObject()) { metadata[property.Name] = Scalar(property.Value.ToString()); }
            }
        }
        catch (JsonException) { /* No JSON: nothing leaks. */ }

        // A string trigger's value comes encoded once more, as every scalar does.
        return new JsonObject { ["Data"] = new JsonObject { [name] = Scalar(message.Text) }, ["Metadata"] = metadata };
    }

    public static JsonObject OfTimer(string name) => new()
    {
        ["Data"] = new JsonObject { [name] = new JsonObject { ["Schedule"] = new JsonObject { ["AdjustForDST"] = true }, ["ScheduleStatus"] = null, ["IsPastDue"] = false } },
        ["Metadata"] = new JsonObject { ["sys"] = Sys() },
    };

    public static JsonObject OfHttp(string name, Uri url, HttpMethod method, IReadOnlyDictionary<string, string> parameters, IReadOnlyDictionary<string, string> headers, string? body)
    {
        var query = new JsonObject();
        var metadata = new JsonObject { ["sys"] = Sys() };
        foreach (var pair in url.Query.TrimStart('?').Split('&', StringSplitOptions.RemoveEmptyEntries).Select(part => part.Split('=', 2)))
        {
            var value = Uri.UnescapeDataString(pair.ElementAtOrDefault(1) ?? "");
            query[pair[0]] = query[pair[0]] is { } before ? $"{before},{value}" : value;

            // Query keys leak in the same way.
            metadata[pair[0]] = Scalar(value);
        }

        foreach (var (key, value) in parameters) { metadata[key] = Scalar(value); }
        var request = new JsonObject
        {
            ["Url"] = url.ToString(),
            ["Method"] = method.Method,
            ["Query"] = query,
            ["Headers"] = new JsonObject(headers.Select(header => KeyValuePair.Create(header.Key, (JsonNode?)new JsonArray(header.Value)))),
            ["Params"] = new JsonObject(parameters.Select(parameter => KeyValuePair.Create(parameter.Key, (JsonNode?)parameter.Value))),
            ["Identities"] = new JsonArray(new JsonObject { ["AuthenticationType"] = null, ["IsAuthenticated"] = false, ["Claims"] = new JsonArray() }),
        };
        if (body is not null) { request["Body"] = body; }
        return new JsonObject { ["Data"] = new JsonObject { [name] = request }, ["Metadata"] = metadata };
    }

    private static string Scalar<T>(T value) => JsonSerializer.Serialize(value);

    private static JsonObject Sys() => new() { ["MethodName"] = "Function", ["UtcNow"] = "2026-11-27T00:00:00Z", ["RandGuid"] = Guid.NewGuid().ToString() };
}
