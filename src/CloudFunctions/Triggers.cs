using System.Text.Json.Nodes;
using Platform.EventStore.Projections;
using Platform.Hosting;
using Platform.Hosting.Http;
using Platform.Messaging;

namespace Platform.CloudFunctions;

/// <summary>
/// The custom handler's contract beside the API. HTTP functions that only answer are proxied to the API's own paths; everything else comes as an envelope to the
/// function's name, and what follows goes out as hints to the queue: what is executed is the row in Postgres that a hint names.
/// </summary>
internal sealed class Triggers(Instance instance, TimeSpan deadline)
{
    /// <summary>The host has checked a key, and a key has no person.</summary>
    public const string Caller = "http";

    /// <summary>Hints that one timer invocation emits; the next one finds the rest.</summary>
    private const int MaxRecovered = 200;

    /// <summary>How long a timer invocation projects, at the most.</summary>
    private static readonly TimeSpan Tidying = TimeSpan.FromSeconds(20);

    /// <summary>The functions that begin something: a queue output beside the answer makes envelopes of their calls.</summary>
    private static readonly Dictionary<string, Func<ApiCall, CancellationToken, Task<ApiAnswer>>> Begin = new()
    {
        ["StartRun"] = RunEndpoints.Start,
        ["CancelRun"] = RunEndpoints.Cancel,
        ["ForkRun"] = RunEndpoints.Fork,
        ["RequestUndo"] = UndoEndpoints.Request,
    };

    /// <summary>After the API has mapped its own.</summary>
    public void Map(WebApplication app)
    {
        app.Use(Proxied);
        app.MapGet("/", static context => Answer(context, new ApiAnswer(200, new JsonObject())));
        app.MapPost("/ExecuteMessage", context => Guarded(context, ExecuteMessage));
        app.MapPost("/RecoverLeases", context => Guarded(context, RecoverLeases));
        foreach (var (function, endpoint) in Begin) { app.MapPost($"/{function}", context => Enveloped(context, endpoint)); }
    }

    /// <summary>The API answers from within an invocation like any other.</summary>
    private async Task Proxied(HttpContext context, RequestDelegate next)
    {
        if (!context.Request.Path.StartsWithSegments("/v1"))
        {
            await next(context);
            return;
        }

        await using var entered = await instance.Enter(context.RequestAborted);
        await next(context);
    }

    /// <summary>Whatever the caller is told, for the host the invocation has succeeded.</summary>
    private Task Enveloped(HttpContext context, Func<ApiCall, CancellationToken, Task<ApiAnswer>> endpoint) => Guarded(context, async (invocation, cancellation) =>
    {
        var request = await Invocation.Read(invocation.Request, "req", cancellation);
        ApiAnswer answer;
        try
        {
            await using var entered = await instance.Enter(cancellation);
            answer = await endpoint(Invocation.Call(request, new ApiCall(entered.Node, TenantId.Default, Caller)), cancellation);
        }
        catch (Exception fault) when (Problems.Answer(fault) is not null)
        {
            answer = Problems.Answer(fault)!;
        }

        return Invocation.Outputs(answer.Messages.Select(id => Invocation.Hint(TenantId.Default, id)), answer);
    });

    private async Task<JsonObject> ExecuteMessage(HttpContext context, CancellationToken cancellation)
    {
        var (tenant, id) = Invocation.Hinted(await Invocation.Read(context.Request, "message", cancellation));
        await using var entered = await instance.Enter(cancellation);

        // Null: somebody else has it, or it is done. A doubled or late hint is answered with success, and goes away.
        var following = await entered.Node.Bus.ExecuteOne(tenant, id, cancellation) ?? [];

        // A retry is named again by its own id; when it is due is for the timer to see.
        return Invocation.Outputs(following.Where(next => next != id).Select(next => Invocation.Hint(tenant, next)));
    }

    private async Task<JsonObject> RecoverLeases(HttpContext context, CancellationToken cancellation)
    {
        await Invocation.Read(context.Request, "timer", cancellation);
        await using var entered = await instance.Enter(cancellation);
        var due = await entered.Node.Bus.RecoverDue(MaxRecovered, cancellation);
        await Tidy(entered.Node, cancellation);
        return Invocation.Outputs(due.Select(one => Invocation.Hint(one.Tenant, one.Id)));
    }

    /// <summary>Projects and signs within this invocation, as far as it comes.</summary>
    private static async Task Tidy(Node node, CancellationToken cancellation)
    {
        using var enough = CancellationTokenSource.CreateLinkedTokenSource(cancellation);
        enough.CancelAfter(Tidying);
        await using var projections = ProjectionRunner.Start(node.Store, Node.Projections);
        try
        {
            var last = await node.Store.CommittedEvents(enough.Token);
            await node.Store.WaitBeyond(last - 1, enough.Token);
            foreach (var projection in Node.Projections) { await projections.WaitFor(projection.Name, last, enough.Token); }
            await node.Sign(enough.Token);
        }
        catch (OperationCanceledException) when (!cancellation.IsCancellationRequested)
        {
            // The next timer goes on from here.
        }
    }

    /// <summary>Ends an invocation before the host would, and tells it of a failure in the form that it takes for one: any status but 2xx.</summary>
    private async Task Guarded(HttpContext context, Func<HttpContext, CancellationToken, Task<JsonObject>> invocation)
    {
        using var stop = CancellationTokenSource.CreateLinkedTokenSource(context.RequestAborted);
        stop.CancelAfter(deadline);
        ApiAnswer answer;
        try
        {
            answer = new ApiAnswer(200, await invocation(context, stop.Token));
        }
        catch (OperationCanceledException) when (!context.RequestAborted.IsCancellationRequested)
        {
            answer = Problems.Answer(new Problem("invocation.deadline", $"The invocation took longer than {deadline}. What it began is taken up again.", 500));
        }
        // The process's edge: a fault of one invocation is told to the host, and never takes the others down.
        catch (Exception fault) when (fault is not OperationCanceledException)
        {
            if (Problems.Answer(fault) is not { } known)
            {
                await Console.Error.WriteLineAsync($"{context.TraceIdentifier} {context.Request.Path}: {fault}");
                known = Problems.Internal(context.TraceIdentifier);
            }

            answer = known;
        }

        await Answer(context, answer);
    }

    private static async Task Answer(HttpContext context, ApiAnswer answer)
    {
        context.Response.StatusCode = answer.Status;
        context.Response.ContentType = answer.ContentType;

        // Whoever has gone does not hear it; what was done stays done.
        await context.Response.WriteAsync(answer.Body.ToJsonString(), CancellationToken.None);
    }
}
