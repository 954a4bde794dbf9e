using System.Security.Cryptography;
using System.Text.Json.Nodes;

namespace Platform.EndToEnd.Tests.Functions;

/// <summary>Runs over a function app's HTTP triggers.</summary>
internal static class Daemons
{
    /// <summary>A line an item and a file an item: what is done twice or never shows in the contents.</summary>
    public const string Ledger = """
        spec: daemon/v1
        daemon:
          name: Ledger
          version: 1.0.0
          inputs:
            - { name: folder, type: file, required: true }
          vars:
            numbers: [1, 2, 3, 4, 5, 6]
          permissions:
            files: { write: ['${ inputs.folder }'] }
            capabilities: [files.append, files.write]
          stages:
            - id: journal
              foreach: vars.numbers
              as: n
              do:
                - tool: files.append
                  with: { path: '${ inputs.folder }/journal.txt', text: "line ${ n }\n" }
            - id: carry
              foreach: vars.numbers
              as: n
              parallelism: 3
              do:
                - tool: files.write
                  with: { path: '${ inputs.folder }/out-${ n }.txt', text: 'file ${ n }' }
        """;

    public static async Task<Guid> Start(FunctionsHost host, string daemon, string? folder)
    {
        var inputs = folder is null ? [] : new JsonObject { ["folder"] = folder };
        var started = await host.Request(HttpMethod.Post, "/v1/runs", new JsonObject { ["daemon"] = daemon, ["inputs"] = inputs }, Key("start"));
        Assert.True(started.Status == 201, started.ToString());
        return Guid.Parse((string)started.Json!["id"]!);
    }

    public static async Task<bool> HasEnded(FunctionsHost host, string path, string how)
    {
        var answer = await host.Request(HttpMethod.Get, path);
        Assert.True(answer.Status == 200, answer.ToString());
        var status = (string?)answer.Json!["status"];
        Assert.Contains(status, (string[])["running", "stopping", how]);
        return status == how;
    }

    public static Dictionary<string, string> Key(string id) => new() { ["Idempotency-Key"] = id };
}

/// <summary>A stage that lasts, and whose process can be told from all others.</summary>
internal sealed class LongScript
{
    private readonly string seconds = $"{RandomNumberGenerator.GetInt32(100_000, 1_000_000)}";

    public string Daemon => $"""
        spec: daemon/v1
        daemon:
          name: Long
          version: 1.0.0
          stages:
            - id: wait
              script: sleep {seconds}
        """;

    public Task Runs() => Until(there: true);

    public Task Ends() => Until(there: false);

    private async Task Until(bool there)
    {
        using var patience = new CancellationTokenSource(PlatformProcess.Patience);
        while (IsThere() != there) { await Task.Delay(10, patience.Token); }
    }

    private bool IsThere() => Directory.EnumerateDirectories("/proc").Where(process => char.IsAsciiDigit(Path.GetFileName(process)[0])).Any(process =>
    {
        try { return File.ReadAllText(Path.Combine(process, "cmdline")) == $"sleep\0{seconds}\0"; }
        catch (IOException) { return false; }
        catch (UnauthorizedAccessException) { return false; }
    });
}
