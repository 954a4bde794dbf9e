using System.Text.Json;
using Platform.Domain.Inference;
using Platform.Inference.Local;

namespace Platform.Inference.Tests.Local;

internal static class Ask
{
    public static readonly LocalAgent Agent = new();

    public static AgentRequest Request(string? schema, params string[] texts) =>
        new("local", null, "Do as you are told.", [.. texts.Select((text, i) => new DataPart($"part{i}", Json(text), "input:text", true))], schema is null ? null : JsonElement.Parse(schema), 0, 0);

    public static JsonElement Json(string text) => JsonElement.Parse(JsonSerializer.Serialize(text));

    public static Task<AgentAnswer> Whole(AgentRequest request) => Agent.Answer(request, TestContext.Current.CancellationToken);

    public static async Task<JsonElement> For(string? schema, params string[] texts) => (await Whole(Request(schema, texts))).Value;

    public static async Task<string> Raw(string? schema, params string[] texts) => JsonSerializer.Serialize(await For(schema, texts), Relaxed);

    private static readonly JsonSerializerOptions Relaxed = new() { Encoder = System.Text.Encodings.Web.JavaScriptEncoder.UnsafeRelaxedJsonEscaping };
}
