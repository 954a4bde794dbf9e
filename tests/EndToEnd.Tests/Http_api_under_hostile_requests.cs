using System.Globalization;
using System.Net;
using System.Net.Sockets;
using System.Security.Cryptography;
using System.Text;
using System.Text.Json.Nodes;
using Platform.Hosting.Http;

namespace Platform.EndToEnd.Tests;

/// <summary>Requests that nobody means well with, some thousands of them, by a printed seed.</summary>
[Collection(nameof(On_one_server))]
public sealed class Http_api_under_hostile_requests(A_server on)
{
    private const int Requests = 4_000;

    private readonly Server server = on.Server;

    [Fact]
    public async Task No_request_is_answered_by_a_fault_of_ours()
    {
        var seed = RandomNumberGenerator.GetInt32(int.MaxValue);
        TestContext.Current.TestOutputHelper?.WriteLine($"seed {seed}");
        var random = new Random(seed);
        var run = (string)(await server.Run(Daemons.Hello))["id"]!;
        string[] ids = [run, Guid.Empty.ToString(), Guid.NewGuid().ToString()];
        ApiEndpoint[] endpoints = [.. HttpApi.Endpoints];
        var statuses = new SortedDictionary<int, int>();
        for (var n = 0; n < Requests; n++)
        {
            var endpoint = endpoints[n % endpoints.Length];
            var request = Make(random, endpoint, ids);
            var status = await Send(request);
            statuses[status] = statuses.GetValueOrDefault(status) + 1;
            Assert.True(status is 0 or >= 200 and < 500, $"seed {seed}, request {n}: {status}\n{Encoding.Latin1.GetString(request)[..Math.Min(request.Length, 2_000)]}");
        }

        TestContext.Current.TestOutputHelper?.WriteLine(string.Join(", ", statuses.Select(s => string.Create(CultureInfo.InvariantCulture, $"{s.Key}: {s.Value}"))));

        // Most came as far as an endpoint, and it works as before.
        Assert.True(statuses.Where(s => s.Key is 0 or 200 or 201 or 202 or 400 or 404 or 422).Sum(s => s.Value) > Requests / 2);
        Assert.Equal("completed", (string?)(await server.Run(Daemons.Hello))["status"]);
        Assert.Equal(HttpStatusCode.OK, (await server.Get("/health/ready")).Status);
    }

    /// <summary>One request as bytes, so that nothing is put right on the way.</summary>
    private static byte[] Make(Random random, ApiEndpoint endpoint, string[] ids)
    {
        var path = endpoint.Pattern.Replace("{run}", Id(random, ids), StringComparison.Ordinal).Replace("{undo}", Id(random, ids), StringComparison.Ordinal);
        var query = new StringBuilder();
        for (var n = random.Next(4); n > 0; n--) { query.Append(query.Length == 0 ? '?' : '&').Append(Pick(random, Parameters)).Append('=').Append(Pick(random, Values)); }
        var body = endpoint.Method == "POST" ? Body(random, ids) : [];
        var head = new StringBuilder()
            .Append(CultureInfo.InvariantCulture, $"{endpoint.Method} {path}{query} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n");
        if (endpoint.Method == "POST") { head.Append(CultureInfo.InvariantCulture, $"Content-Type: {(random.Next(20) == 0 ? Pick(random, ContentTypes) : "application/json")}\r\nContent-Length: {body.Length}\r\n"); }
        if (random.Next(3) == 0) { head.Append(CultureInfo.InvariantCulture, $"Idempotency-Key: {Pick(random, Keys)}\r\n"); }
        if (random.Next(10) == 0) { head.Append(CultureInfo.InvariantCulture, $"Prefer: {Pick(random, Preferences)}\r\n"); }
        if (random.Next(20) == 0) { head.Append(CultureInfo.InvariantCulture, $"Accept: {Pick(random, Accepts)}\r\nLast-Event-ID: {Pick(random, Values)}\r\n"); }
        return [.. Encoding.Latin1.GetBytes(head.Append("\r\n").ToString()), .. body];
    }

    private static readonly string[] Parameters = ["limit", "after", "status", "daemon", "startedFrom", "startedTo", "type", "run", "nothing", "", "%00", "limit%5B%5D"];

    private static readonly string[] Values =
    [
        "", "0", "-1", "1", "200", "9223372036854775807", "9223372036854775808", "1e9", "0x10", "NaN", "%00", "a%00b", "%ED%A0%80", "%FF%FE", "%C3%28", "%F0%9F%98%80", "'%20or%201=1--", "%22%7D", "latest",
        "completed", "failed", "2026-01-31T12:00:00Z", "0001-01-01T00:00:00Z", "9999-12-31T23:59:59.9999999Z", "0001-01-01T00:00:00%2B14:00", "9999-12-31T23:59:59-14:00", "2026-02-30T00:00:00Z", "10000-01-01T00:00:00Z",
        "00000000-0000-0000-0000-000000000000", "ffffffff-ffff-ffff-ffff-ffffffffffff", "%E2%80%AE", "..%2f..%2f", new string('9', 400), new string('a', 2_000),
    ];

    private static readonly string[] ContentTypes = ["text/plain", "application/json; charset=utf-16", "application/x-www-form-urlencoded", "application/json;charset=\"", ";;;", "application/jsonx"];

    private static readonly string[] Keys = ["k", "a b", "\u0001", "\u00ff", new string('k', 255), new string('k', 256), new string('k', 5_000), "'; drop table mt_events; --", "{}"];

    private static readonly string[] Preferences = ["wait=0", "wait=-1", "wait=99999999999", "wait=", "respond-async, wait=0", "\"", "wait=0;wait=0,wait=0"];

    private static readonly string[] Accepts = ["text/event-stream;q=", "application/json", "*/*", ",,,", "a/b/c"];

    private static readonly string[] Names = ["daemon", "inputs", "approvals", "reason", "from", "run", "stage", "effect", "since", "user", "undo", "cascade", "who", "", "\\u0000", "\\ud800", "__proto__", "$ref"];

    private static readonly string[] Scalars =
    [
        "null", "true", "false", "0", "-0", "1e308", "1e309", "-1e400", "1e-400", "1e-99999", "123456789012345678901234567890123456789012345678901234567890123456789", "0.1e1", "\"\"", "\"a\"", "\"\\u0000\"", "\"\\ud800\"",
        "\"\\udc00\\ud800\"", "\"\\ud83d\\ude00\"", "\"2026-01-31T12:00:00Z\"", "\"9999-12-31T23:59:59.9999999+00:00\"", "\"0001-01-01T00:00:00+14:00\"", "\"greet\"", "\"irreversible\"", "\"../../etc/passwd\"", "[]", "{}", "[null]",
        "\"${ inputs.who }\"", "\"%s%n\"", "\"\\u202e\"", "\"&a [*a]\"",
    ];

    private static string Id(Random random, string[] ids) => random.Next(3) == 0 ? Pick(random, Values).Replace("..%2f", "", StringComparison.Ordinal) is { Length: > 0 } some ? some : "x" : Pick(random, ids);

    private static byte[] Body(Random random, string[] ids)
    {
        switch (random.Next(12))
        {
            case 0: return Random(random, random.Next(200));
            case 1: return Encoding.UTF8.GetBytes(new string('[', random.Next(1, 5_000)));
            case 2: return Encoding.UTF8.GetBytes(string.Concat(Enumerable.Repeat("{\"inputs\":", 40)) + "1" + new string('}', 40));
            case 3: return [];
            case 4: return [.. "{\"daemon\":\""u8, .. Random(random, 20), .. "\"}"u8];
            case 5: return [0xEF, 0xBB, 0xBF, .. "{}"u8];
            case 6: return Encoding.UTF8.GetBytes(new JsonObject { ["daemon"] = Mangled(random, Daemons.Hello), ["inputs"] = new JsonObject { ["who"] = new string('x', random.Next(2_000)) } }.ToJsonString());
            case 7: return Encoding.UTF8.GetBytes($"{{\"run\":\"{Pick(random, ids)}\",\"cascade\":{Pick(random, Scalars)}}}");
            case 8: return Encoding.UTF8.GetBytes($"{{\"from\":{Pick(random, Scalars)},\"daemon\":{Pick(random, Scalars)}}}");
            case 9: return Encoding.UTF8.GetBytes($"{{\"daemon\":{JsonValue.Create(Daemons.Hello).ToJsonString()},\"inputs\":{{\"who\":{Pick(random, Scalars)}}}}}");
            default:
                var text = new StringBuilder("{");
                for (var n = random.Next(5); n > 0; n--) { text.Append(text.Length == 1 ? "" : ",").Append(CultureInfo.InvariantCulture, $"\"{Pick(random, Names)}\":{Pick(random, Scalars)}"); }
                return Encoding.UTF8.GetBytes(text.Append(random.Next(8) == 0 ? "" : "}").ToString());
        }
    }

    private static string Mangled(Random random, string text)
    {
        var letters = text.ToCharArray();
        for (var n = random.Next(4); n > 0; n--) { letters[random.Next(letters.Length)] = "\0\t:{}[]&*!|>'\"%@`\u0085\u2028\ufeff"[random.Next(19)]; }
        return new string(letters);
    }

    private static byte[] Random(Random random, int length)
    {
        var bytes = new byte[length];
        random.NextBytes(bytes);
        return bytes;
    }

    private static string Pick(Random random, string[] from) => from[random.Next(from.Length)];

    /// <summary>Answers the status; 0: the server hung up on what is no HTTP.</summary>
    private async Task<int> Send(byte[] request)
    {
        using var patience = new CancellationTokenSource(PlatformProcess.Patience);
        using var client = new TcpClient { NoDelay = true };
        await client.ConnectAsync(IPAddress.Loopback, server.Client.BaseAddress!.Port, patience.Token);
        await using var stream = client.GetStream();
        try
        {
            await stream.WriteAsync(request, patience.Token);
            var head = new byte[12];
            await stream.ReadExactlyAsync(head, patience.Token);
            return int.Parse(Encoding.ASCII.GetString(head, 9, 3), CultureInfo.InvariantCulture);
        }
        catch (Exception e) when (e is IOException or SocketException)
        {
            return 0;
        }
    }
}
