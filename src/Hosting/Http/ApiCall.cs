using System.Text.Json.Nodes;
using Platform.Messaging;

namespace Platform.Hosting.Http;

/// <summary>One request as an endpoint sees it, whichever host took it from the wire.</summary>
/// <param name="Caller">Who asks, for the audit trail.</param>
public sealed record ApiCall(Node Node, TenantId Tenant, string Caller)
{
    /// <summary>Parts of the path, by the names in the endpoint's pattern.</summary>
    public IReadOnlyDictionary<string, string> Route { get; init; } = new Dictionary<string, string>();

    public ApiQuery Query { get; init; } = ApiQuery.Empty;

    /// <summary>UTF-8 JSON; empty where the request has none.</summary>
    public ReadOnlyMemory<byte> Body { get; init; }

    /// <summary>The request's <c>Idempotency-Key</c>.</summary>
    public string? IdempotencyKey { get; init; }

    /// <summary>How long the caller is willing to wait for the end of what it asks for. The host has bounded it.</summary>
    public TimeSpan Wait { get; init; }

    /// <summary>The host is about to leave: whoever waits is answered as things stand.</summary>
    public CancellationToken Leaving { get; init; }

    public Runs Runs => new(Node);

    /// <summary>The id in the path.</summary>
    /// <exception cref="ProblemException">It is no UUID.</exception>
    public Guid Id(string kind) => Guid.TryParseExact(Route.GetValueOrDefault(kind), "D", out var id)
        ? id
        : throw new ProblemException(new Problem($"{kind}.invalid-id", $"The {kind}'s id is no UUID: write it as 00000000-0000-0000-0000-000000000000.", 400));

    /// <summary>The idempotency key, which becomes the command's id.</summary>
    /// <exception cref="ProblemException">It is empty, too long, or not visible ASCII.</exception>
    public string? Key()
    {
        if (IdempotencyKey is not { } key) { return null; }
        return key.Length is > 0 and <= MaxKeyLength && key.All(c => c is >= '!' and <= '~')
            ? key
            : throw new ProblemException(new Problem("idempotency-key.invalid", $"An Idempotency-Key has 1 to {MaxKeyLength} visible ASCII characters.", 400));
    }

    /// <summary>As long as a command's id may be.</summary>
    public const int MaxKeyLength = 255;
}

/// <summary>What an endpoint answers.</summary>
public sealed record ApiAnswer(int Status, JsonNode Body)
{
    public string ContentType { get; init; } = "application/json";

    /// <summary>Further headers of the response.</summary>
    public IReadOnlyDictionary<string, string> Headers { get; init; } = new Dictionary<string, string>();

    /// <summary>Ids of the durable messages that follow, for a host that sends them on itself.</summary>
    public IReadOnlyList<Guid> Messages { get; init; } = [];

    public static ApiAnswer Ok(JsonNode body) => new(200, body);
}

/// <param name="Pattern">As ASP.NET Core's routing reads it.</param>
/// <param name="Waits">It can wait for the end of what it begins or shows.</param>
public sealed record ApiEndpoint(string Method, string Pattern, Func<ApiCall, CancellationToken, Task<ApiAnswer>> Handle, bool Waits = false);
