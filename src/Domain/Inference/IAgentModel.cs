using System.Text.Json;

namespace Platform.Domain.Inference;

/// <summary>A value handed to an agent as data, never as instruction.</summary>
/// <param name="Provenance">Where it came from, for example <c>input:folder</c>, <c>stage:read</c>.</param>
/// <param name="Untrusted">Fenced for the model; the answer carries the taint on.</param>
public sealed record DataPart(string Name, JsonElement Value, string Provenance, bool Untrusted);

/// <param name="Model">As the daemon names it, for example <c>local</c>.</param>
/// <param name="Instructions">The daemon's own prompt, values not mixed in.</param>
/// <param name="OutputSchema">JSON Schema of the answer; null: text.</param>
public sealed record AgentRequest(string Model, string? System, string Instructions, IReadOnlyList<DataPart> Parts, JsonElement? OutputSchema, int MaxOutputTokens, long Seed);

/// <param name="Value">Fits the request's schema, or is a JSON string.</param>
/// <param name="Method">How it came about, for example <c>extractive</c>; shown to the user.</param>
public sealed record AgentAnswer(JsonElement Value, long InputTokens, long OutputTokens, string Model, string Method);

/// <summary>Answers requests. Implemented by the local agent and, later, by model providers; the answer is recorded, so replay never calls it.</summary>
public interface IAgentModel
{
    /// <summary>Whether this implementation serves a model of that name.</summary>
    bool Serves(string model);

    /// <exception cref="AgentException">It cannot or could not answer.</exception>
    Task<AgentAnswer> Answer(AgentRequest request, CancellationToken cancellation);
}

/// <param name="type">An error type of the daemon format: provider_error, rate_limit, timeout, schema, connection.</param>
public sealed class AgentException(string type, string message) : Exception(message)
{
    public string Type { get; } = type;
}
