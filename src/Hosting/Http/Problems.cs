using System.Text.Json.Nodes;
using Microsoft.AspNetCore.Http;
using Platform.Messaging;

namespace Platform.Hosting.Http;

/// <summary>What went wrong, as RFC 9457 problem+json: who must act decides the status (docs/adr/0006-errors-by-who-acts.md).</summary>
public static class Problems
{
    public const string ContentType = "application/problem+json";

    /// <summary>What a caller should wait before it asks again while the store is away.</summary>
    public const int RetryAfterSeconds = 2;

    public static ApiAnswer Answer(Problem problem)
    {
        var body = new JsonObject
        {
            ["type"] = $"https://platform.example/problems/{problem.Code}",
            ["title"] = problem.Code,
            ["status"] = problem.Status,
            ["detail"] = problem.Detail,
        };
        foreach (var (name, value) in problem.Extensions ?? new Dictionary<string, string>()) { body[name] = value; }
        return new ApiAnswer(problem.Status, body) { ContentType = ContentType };
    }

    /// <summary>The answer to a fault that has one; null: it is a fault of ours.</summary>
    public static ApiAnswer? Answer(Exception fault) => fault switch
    {
        ProblemException e => Answer(e.Problem),
        StoreUnavailableException => Away("store.unavailable", "The store is away for the moment: nothing was acknowledged. Ask again with the same Idempotency-Key."),
        LimitExceededException e => Answer(new Problem("limit.exceeded", $"{e.Message} Send less at once.", 422, new Dictionary<string, string>
        {
            ["limit"] = e.Limit,
            ["value"] = FormattableString.Invariant($"{e.Value}"),
            ["allowed"] = FormattableString.Invariant($"{e.Allowed}"),
        })),
        StreamArchivedException e => Answer(new Problem("stream.archived", $"{e.StreamId} is archived: it can be read, not changed.", 409)),
        BadHttpRequestException e => Answer(OfStatus(e.StatusCode)),
        _ => null,
    };

    /// <summary>503: nobody's fault, and it passes.</summary>
    public static ApiAnswer Away(string code, string detail) => Answer(new Problem(code, detail, 503)) with
    {
        Headers = new Dictionary<string, string> { ["Retry-After"] = FormattableString.Invariant($"{RetryAfterSeconds}") },
    };

    /// <summary>A fault of ours: what it is stands in the log under this reference, and nowhere else.</summary>
    public static ApiAnswer Internal(string reference) =>
        Answer(new Problem("internal", "A fault of the platform; its log has the details.", 500, new Dictionary<string, string> { ["instance"] = reference }));

    /// <summary>For what the server itself refuses before an endpoint sees it.</summary>
    public static Problem OfStatus(int status) => status switch
    {
        404 => new Problem("http.not-found", "There is nothing at this path. /openapi.json lists what there is.", 404),
        405 => new Problem("http.method-not-allowed", "This path does not answer this method; the Allow header names those that it does.", 405),
        408 => new Problem("http.timeout", "The request came too slowly.", 408),
        413 => new Problem("http.too-large", FormattableString.Invariant($"The body is larger than {RequestBody.MaxBytes} bytes."), 413),
        414 => new Problem("http.uri-too-long", "The request's path and query are too long.", 414),
        415 => new Problem("http.not-json", "A request with this method carries JSON: Content-Type: application/json, in UTF-8, not compressed.", 415),
        431 => new Problem("http.headers-too-large", "The request's headers are too large.", 431),
        _ => new Problem("http.bad-request", "The request is not HTTP as it is read here.", status),
    };
}
