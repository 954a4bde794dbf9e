using System.Diagnostics;
using System.Net;
using System.Net.Sockets;
using System.Security.Cryptography;
using System.Text.Json;
using Platform.Capabilities.Scripts;
using Platform.Domain.Daemons;
using Platform.SandboxHost;

namespace Platform.Capabilities.Tests.Scripts;

/// <summary>A server of its own (tests/SandboxHost) that runs scripts, as root or as nobody, and what lies around it for scripts to reach for.</summary>
internal sealed class ScriptsHost : IDisposable
{
    private const int Nobody = 65534;

    /// <summary>The whole table takes a few seconds per server; a machine under load gets this long.</summary>
    private static readonly TimeSpan Deadline = TimeSpan.FromMinutes(5);

    private const UnixFileMode Everybody = (UnixFileMode)0x1ff;

    private readonly string folder;
    private readonly Socket tcp;
    private readonly Socket abstractSocket;
    private readonly Socket pathSocket;

    public ScriptsHost(SandboxTier tier, bool asNobody, int concurrency = 6)
    {
        folder = Directory.CreateTempSubdirectory("platform-sandbox-").FullName;
        File.SetUnixFileMode(folder, Everybody);
        var program = Path.Combine(folder, "host");
        Directory.CreateDirectory(program);
        foreach (var file in Directory.EnumerateFiles(AppContext.BaseDirectory)) { File.Copy(file, Path.Combine(program, Path.GetFileName(file))); }

        Canary = Path.Combine(folder, "canary");
        Directory.CreateDirectory(Canary);
        File.WriteAllText(Path.Combine(Canary, "secret"), Secret);
        Jobs = Path.Combine(folder, "jobs");
        Directory.CreateDirectory(Jobs, UnixFileMode.UserRead | UnixFileMode.UserWrite | UnixFileMode.UserExecute);

        tcp = new Socket(AddressFamily.InterNetworkV6, SocketType.Stream, ProtocolType.Tcp) { DualMode = true };
        tcp.Bind(new IPEndPoint(IPAddress.IPv6Any, 0));
        var name = $"platform-{RandomNumberGenerator.GetHexString(8)}";
        abstractSocket = new Socket(AddressFamily.Unix, SocketType.Stream, ProtocolType.Unspecified);
        abstractSocket.Bind(new UnixDomainSocketEndPoint("\0" + name));
        pathSocket = new Socket(AddressFamily.Unix, SocketType.Stream, ProtocolType.Unspecified);
        var path = Path.Combine(folder, "socket");
        pathSocket.Bind(new UnixDomainSocketEndPoint(path));
        foreach (var socket in (Socket[])[tcp, abstractSocket, pathSocket]) { socket.Listen(); }
        File.SetUnixFileMode(path, Everybody);

        // Nothing but the sandbox may stand between a script and these: they are the server's own, or everybody's.
        File.SetUnixFileMode(Canary, Everybody);
        File.SetUnixFileMode(Path.Combine(Canary, "secret"), (UnixFileMode)0x1b6);
        if (asNobody) { Call("chown", "-R", $"{Nobody}:{Nobody}", Canary, Jobs); }

        List<string> command = asNobody ? ["setpriv", $"--reuid={Nobody}", $"--regid={Nobody}", "--clear-groups"] : [];
        command.AddRange([Path.Combine(program, "Platform.SandboxHost"), tier.ToString(), Jobs, concurrency.ToString()]);
        var info = new ProcessStartInfo(command[0]) { RedirectStandardInput = true, RedirectStandardOutput = true, RedirectStandardError = true, WorkingDirectory = folder };
        foreach (var argument in command.Skip(1)) { info.ArgumentList.Add(argument); }
        info.Environment["PLATFORM_TEST_SECRET"] = Secret;
        info.Environment["TMPDIR"] = "/tmp";
        Server = Process.Start(info)!;
        Surroundings = new Dictionary<string, string>
        {
            ["CANARY"] = Canary,
            ["SERVER"] = Server.Id.ToString(),
            ["PORT"] = ((IPEndPoint)tcp.LocalEndPoint!).Port.ToString(),
            ["ABSTRACT"] = name,
            ["SOCKET"] = path,
            ["JOBS"] = Jobs,
        };
    }

    public static bool CanBeNobody => Environment.IsPrivilegedProcess && File.Exists("/usr/bin/setpriv");

    public string Secret { get; } = RandomNumberGenerator.GetHexString(32);

    public string Canary { get; }

    public string Jobs { get; }

    public Process Server { get; }

    public Dictionary<string, string> Surroundings { get; }

    public bool AnybodyConnected => tcp.Poll(0, SelectMode.SelectRead) || abstractSocket.Poll(0, SelectMode.SelectRead) || pathSocket.Poll(0, SelectMode.SelectRead);

    public void Send(string name, ScriptJob job)
    {
        Server.StandardInput.WriteLine(JsonSerializer.Serialize(new HostedJob(name, job), Lines.Default.HostedJob));
        Server.StandardInput.Flush();
    }

    /// <summary>Sends all, tells the server that there is no more, and waits for its regular end.</summary>
    public async Task<(IReadOnlyDictionary<string, HostedOutcome> Outcomes, int ExitCode, string Errors)> RunAll(IEnumerable<(string Name, ScriptJob Job)> jobs)
    {
        var errors = Server.StandardError.ReadToEndAsync();
        var output = Server.StandardOutput.ReadToEndAsync();
        foreach (var (name, job) in jobs) { Send(name, job); }
        Server.StandardInput.Close();
        var lines = (await output.WaitAsync(Deadline)).Split('\n', StringSplitOptions.RemoveEmptyEntries);
        await Server.WaitForExitAsync();
        return (lines.Select(line => JsonSerializer.Deserialize(line, Lines.Default.HostedOutcome)!).ToDictionary(outcome => outcome.Name), Server.ExitCode, await errors);
    }

    public void Dispose()
    {
        if (!Server.HasExited) { Server.Kill(); Server.WaitForExit(); }
        Server.Dispose();
        tcp.Dispose();
        abstractSocket.Dispose();
        pathSocket.Dispose();
        Directory.Delete(folder, recursive: true);
    }

    /// <summary>Processes whose command line holds the text.</summary>
    public static IReadOnlyList<string> ProcessesWith(string text)
    {
        List<string> found = [];
        foreach (var process in Directory.EnumerateDirectories("/proc").Where(entry => int.TryParse(Path.GetFileName(entry), out _)))
        {
            try
            {
                var line = File.ReadAllText(Path.Combine(process, "cmdline")).Replace('\0', ' ');
                if (line.Contains(text, StringComparison.Ordinal)) { found.Add($"{process}: {line}"); }
            }
            catch (Exception gone) when (gone is IOException or UnauthorizedAccessException)
            {
                // It ended meanwhile.
            }
        }

        return found;
    }

    private static void Call(string program, params string[] arguments)
    {
        using var process = Process.Start(program, arguments);
        process.WaitForExit();
        Assert.Equal(0, process.ExitCode);
    }
}
