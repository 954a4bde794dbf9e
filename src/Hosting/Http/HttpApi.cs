using System.Buffers;
using System.Globalization;
using System.IO.Pipelines;
using System.Text.RegularExpressions;
using Microsoft.AspNetCore.Builder;
using Microsoft.AspNetCore.Http;
using Microsoft.Net.Http.Headers;
using Platform.Domain.Daemons.Format;
using Platform.Messaging;

namespace Platform.Hosting.Http;

/// <summary>How a host offers the API.</summary>
/// <param name="Access">Who may call.</param>
/// <param name="Tenant">Whose runs. For now everybody who may call is of one tenant.</param>
/// <param name="Caller">Who is said to ask, in the audit trail.</param>
/// <param name="Log">Told of faults of ours, with all that is known; callers are not.</param>
/// <param name="Leaving">Fires when the host begins to leave: streams and waits end then.</param>
public sealed record HttpApiOptions(Access Access, TenantId Tenant, string Caller, Action<string> Log, CancellationToken Leaving)
{
    /// <summary>Event streams at once; each holds a connection and looks at the log by itself.</summary>
    public int MaxStreams { get; init; } = 64;

    /// <summary>Callers at once that wait for an end; who comes after them is answered at once.</summary>
    public int MaxWaits { get; init; } = 256;
}

/// <summary>The HTTP API, on ASP.NET Core. Every answer that is no success is RFC 9457 problem+json.</summary>
/// <param name="node">Null: not open yet.</param>
public sealed partial class HttpApi(Func<Node?> node, HttpApiOptions options) : IDisposable
{
    /// <summary>The longest that a caller may wait for an end; then it asks again.</summary>
    public static readonly TimeSpan MaxWait = TimeSpan.FromSeconds(60);

    /// <summary>For everything else: a request that takes longer hangs.</summary>
    private static readonly TimeSpan Deadline = TimeSpan.FromSeconds(30);

    private readonly Health health = new(node);
    private readonly SemaphoreSlim streams = new(options.MaxStreams);
    private readonly SemaphoreSlim waits = new(options.MaxWaits);
    private readonly Lazy<LogTail> tail = new(() => new LogTail(node()!.Store, options.Leaving));

    /// <summary>Every endpoint that answers with JSON of its own.</summary>
    public static IReadOnlyList<ApiEndpoint> Endpoints { get; } = [.. RunEndpoints.All, .. UndoEndpoints.All, .. LogEndpoints.All];

    /// <summary>Maps everything. The routes' plain delegates cost no reflection at the start.</summary>
    public void Map(WebApplication app)
    {
        app.Use(Guarded);
        app.UseRouting();
        app.MapMethods("/health/live", ["GET"], static context => Write(context, Health.Live));
        app.MapMethods("/health/ready", ["GET"], async context => await Write(context, await health.Ready(options.Leaving.IsCancellationRequested)));
        app.MapMethods("/openapi.json", ["GET"], static context => Write(context, OpenApiDocument.Bytes, "application/json"));
        app.MapMethods("/schemas/daemon.json", ["GET"], static context => Write(context, System.Text.Encoding.UTF8.GetBytes(DaemonSchema.Text), "application/schema+json"));
        foreach (var endpoint in Endpoints) { app.MapMethods(endpoint.Pattern, [endpoint.Method], context => Serve(context, endpoint)); }
    }

    public void Dispose()
    {
        streams.Dispose();
        waits.Dispose();
    }

    /// <summary>The process's edge: whatever happens, the caller hears a problem, and a fault of ours is logged once.</summary>
    private async Task Guarded(HttpContext context, RequestDelegate next)
    {
        try
        {
            context.Response.Headers.XContentTypeOptions = "nosniff";
            if (options.Access.Refuse(context.Request) is { } refused)
            {
                await Write(context, refused);
                return;
            }

            await next(context);
            if (context.Response is { HasStarted: false, StatusCode: >= 400, ContentLength: null, ContentType: null }) { await Write(context, Problems.Answer(Problems.OfStatus(context.Response.StatusCode))); }
        }
        catch (OperationCanceledException) when (context.RequestAborted.IsCancellationRequested) { /* Nobody hears the answer. */ }
        catch (OperationCanceledException)
        {
            await Write(context, Problems.Away("http.leaving", "This process leaves, or the request took too long: ask again."));
        }
        catch (IOException) when (context.Response.HasStarted) { /* The connection broke in the middle of the answer. */ }
        catch (Exception fault)
        {
            if (Problems.Answer(fault) is not { } answer)
            {
                options.Log($"{context.TraceIdentifier} {context.Request.Method} {context.Request.Path}: {fault}");
                answer = Problems.Internal(context.TraceIdentifier);
            }

            if (context.Response.HasStarted) { context.Abort(); }
            else { await Write(context, answer); }
        }
    }

    private async Task Serve(HttpContext context, ApiEndpoint endpoint)
    {
        if (node() is not { } open)
        {
            await Write(context, Problems.Away("health.starting", "This process is starting."));
            return;
        }

        var isPost = HttpMethods.IsPost(context.Request.Method);
        if (isPost && !IsJson(context.Request))
        {
            await Write(context, Problems.Answer(Problems.OfStatus(StatusCodes.Status415UnsupportedMediaType)));
            return;
        }

        var call = new ApiCall(open, options.Tenant, options.Caller)
        {
            Route = context.Request.RouteValues.ToDictionary(part => part.Key, part => (string)part.Value!),
            Query = new ApiQuery(context.Request.Query.SelectMany(p => p.Value.Select(value => new KeyValuePair<string, string>(p.Key, value ?? "")))),
            IdempotencyKey = Single(context.Request, "Idempotency-Key"),
            Leaving = options.Leaving,
        };

        if (endpoint.Pattern is LogEndpoints.TenantEvents or LogEndpoints.RunEvents && EventStream.IsWanted(context.Request))
        {
            await Stream(context, call, endpoint);
            return;
        }

        var (wait, preferred) = endpoint.Waits ? WaitOf(context.Request, call.Query) : (TimeSpan.Zero, false);
        var waiting = wait > TimeSpan.Zero && await waits.WaitAsync(TimeSpan.Zero);
        try
        {
            using var deadline = CancellationTokenSource.CreateLinkedTokenSource(context.RequestAborted);
            deadline.CancelAfter(waiting ? wait + Deadline : Deadline);
            var answer = await endpoint.Handle(
                call with
                {
                    Body = isPost ? await Body(context.Request.BodyReader, deadline.Token) : default,
                    Wait = waiting ? wait : TimeSpan.Zero,
                },
                deadline.Token);
            if (waiting && preferred) { context.Response.Headers["Preference-Applied"] = string.Create(CultureInfo.InvariantCulture, $"wait={(int)wait.TotalSeconds}"); }
            await Write(context, answer);
        }
        finally
        {
            if (waiting) { waits.Release(); }
        }
    }

    private async Task Stream(HttpContext context, ApiCall call, ApiEndpoint endpoint)
    {
        if (!await streams.WaitAsync(TimeSpan.Zero))
        {
            await Write(context, Problems.Away("events.too-many", string.Create(CultureInfo.InvariantCulture, $"{options.MaxStreams} event streams are open, and no more are served at once.")));
            return;
        }

        try
        {
            using var ended = CancellationTokenSource.CreateLinkedTokenSource(context.RequestAborted, options.Leaving);
            using var stream = new EventStream(context, call, tail.Value);
            try { await (endpoint.Pattern == LogEndpoints.TenantEvents ? stream.OfTenant(ended.Token) : stream.OfRun(ended.Token)); }
            catch (OperationCanceledException) when (context.Response.HasStarted) { /* The caller or this process leaves. */ }
        }
        finally
        {
            streams.Release();
        }
    }

    private static bool IsJson(HttpRequest request) =>
        MediaTypeHeaderValue.TryParse(request.ContentType, out var type)
        && type.MediaType.Equals("application/json", StringComparison.OrdinalIgnoreCase)
        && (!type.Charset.HasValue || type.Charset.Equals("utf-8", StringComparison.OrdinalIgnoreCase))
        && request.Headers.ContentEncoding.Count == 0;

    /// <summary>A header that may stand once.</summary>
    private static string? Single(HttpRequest request, string name) => request.Headers[name] switch
    {
        { Count: 0 } => null,
        { Count: 1 } one => one[0] ?? "",
        _ => throw new ProblemException(new Problem("http.header-twice", $"The header {name} is sent more than once.", 400)),
    };

    /// <summary>RFC 7240: a preference that is not understood is as if it were not there; what stands in the query must be right.</summary>
    private static (TimeSpan Wait, bool Preferred) WaitOf(HttpRequest request, ApiQuery query)
    {
        if (query.Number("wait", 0, (long)MaxWait.TotalSeconds) is { } asked) { return (TimeSpan.FromSeconds(asked), false); }
        var preferred = Wait().Match(request.Headers["Prefer"].ToString());
        return preferred.Success && int.TryParse(preferred.Groups[1].ValueSpan, NumberStyles.None, CultureInfo.InvariantCulture, out var seconds)
            ? (TimeSpan.FromSeconds(Math.Min(seconds, MaxWait.TotalSeconds)), true)
            : (TimeSpan.Zero, false);
    }

    [GeneratedRegex(@"(?:^|[,;])\s*wait\s*=\s*""?([0-9]{1,6})""?\s*(?:$|[,;])", RegexOptions.IgnoreCase | RegexOptions.CultureInvariant)]
    private static partial Regex Wait();

    private static async Task<ReadOnlyMemory<byte>> Body(PipeReader reader, CancellationToken cancellation)
    {
        while (true)
        {
            var read = await reader.ReadAsync(cancellation);
            if (read.Buffer.Length > RequestBody.MaxBytes) { throw new BadHttpRequestException("The body is too large.", StatusCodes.Status413PayloadTooLarge); }
            if (read.IsCompleted)
            {
                var body = read.Buffer.ToArray();
                reader.AdvanceTo(read.Buffer.End);
                return body;
            }

            reader.AdvanceTo(read.Buffer.Start, read.Buffer.End);
        }
    }

    private static async Task Write(HttpContext context, ApiAnswer answer)
    {
        if (context.Response.HasStarted) { return; }
        context.Response.StatusCode = answer.Status;
        foreach (var (name, value) in answer.Headers) { context.Response.Headers[name] = value; }
        await Write(context, HttpJson.Bytes(answer.Body), answer.ContentType);
    }

    private static async Task Write(HttpContext context, ReadOnlyMemory<byte> body, string contentType)
    {
        context.Response.ContentType = contentType;
        context.Response.ContentLength = body.Length;
        await context.Response.BodyWriter.WriteAsync(body, context.RequestAborted);
    }
}
