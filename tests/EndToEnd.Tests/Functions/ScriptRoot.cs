using System.Globalization;
using System.Text.Json;
using System.Text.Json.Nodes;
using System.Text.RegularExpressions;

namespace Platform.EndToEnd.Tests.Functions;

/// <summary>The host does not start with such a package, or leaves the function out.</summary>
internal sealed class RefusedException(string what) : Exception(what);

/// <param name="Direction">in or out.</param>
internal sealed record Binding(string Type, string Direction, string Name, JsonObject Json)
{
    public bool IsTrigger => Type.EndsWith("Trigger", StringComparison.Ordinal);

    public string? Text(string property) => (string?)Json[property];
}

/// <summary>One function.json.</summary>
internal sealed record Function(string Name, IReadOnlyList<Binding> Bindings)
{
    public Binding Trigger => Bindings.Single(binding => binding.IsTrigger);

    public IEnumerable<Binding> Outputs => Bindings.Where(binding => binding.Direction == "out");

    /// <summary>What newer hosts proxy and older ones forward; any further binding makes an envelope of the call.</summary>
    public bool IsHttpOnly => Trigger.Type == "httpTrigger" && Bindings.Count == 2 && Outputs.Single().Type == "http";

    public IEnumerable<string> Methods => Trigger.Json["methods"]!.AsArray().Select(method => ((string)method!).ToUpperInvariant());

    public string Route => Trigger.Text("route") ?? Name;
}

/// <summary>A deployment package as the host of Azure Functions reads it: host.json, and a folder with a function.json each.</summary>
internal sealed partial record ScriptRoot(string Folder, string Executable, TimeSpan FunctionTimeout, string RoutePrefix, int BatchSize, int MaxDequeueCount, IReadOnlyList<Function> Functions)
{
    private static readonly Dictionary<string, string[]> Required = new()
    {
        ["httpTrigger"] = ["authLevel", "methods"],
        ["http"] = [],
        ["queueTrigger"] = ["queueName", "connection"],
        ["queue"] = ["queueName", "connection"],
        ["timerTrigger"] = ["schedule"],
    };

    /// <exception cref="RefusedException"/>
    public static ScriptRoot Read(string folder)
    {
        var host = Parse(Path.Combine(folder, "host.json"));
        Require((string?)host["version"] == "2.0", "host.json's version is not 2.0");
        var bundle = host["extensionBundle"];
        Require((string?)bundle?["id"] == "Microsoft.Azure.Functions.ExtensionBundle" && BundleRange().IsMatch((string?)bundle["version"] ?? ""), "queues and timers come from an extension bundle, by its id and a range of versions");
        Require(TimeSpan.TryParse((string?)host["functionTimeout"], CultureInfo.InvariantCulture, out var timeout) && timeout > TimeSpan.Zero, "functionTimeout is no duration");

        var handler = host["customHandler"];
        var executable = Path.Combine(folder, (string?)handler?["description"]?["defaultExecutablePath"] ?? throw new RefusedException("there is no defaultExecutablePath"));
        Require(File.Exists(executable) && (File.GetUnixFileMode(executable) & UnixFileMode.UserExecute) != 0, $"{executable} cannot be executed");

        // Older hosts forward, newer ones proxy; without a switch, http-only functions would come as envelopes.
        Require((bool?)handler!["enableForwardingHttpRequest"] == true && (bool?)handler["enableProxyingHttpRequest"] == true, "one of the two switches for HTTP is off");

        var functions = Directory.EnumerateDirectories(folder).Where(sub => File.Exists(Path.Combine(sub, "function.json"))).Order(StringComparer.Ordinal).Select(Read1).ToArray();
        Require(functions.Length > 0, "there is no function");
        var routes = functions.Where(function => function.Trigger.Type == "httpTrigger").SelectMany(function => function.Methods.Select(method => $"{method} {Parameter().Replace(function.Route, "{}")}")).ToArray();
        Require(routes.Distinct().Count() == routes.Length, "two functions have one route");
        var queues = host["extensions"]?["queues"];
        return new ScriptRoot(folder, executable, timeout, (string?)host["extensions"]?["http"]?["routePrefix"] ?? "api", (int?)queues?["batchSize"] ?? 16, (int?)queues?["maxDequeueCount"] ?? 5, functions);

        static Function Read1(string folder) => ReadFunction(Path.GetFileName(folder), Parse(Path.Combine(folder, "function.json")));
    }

    /// <exception cref="RefusedException"/>
    public static Function ReadFunction(string name, JsonObject json)
    {
        Require(FunctionName().IsMatch(name), $"'{name}' is no function's name");
        var bindings = (json["bindings"] as JsonArray ?? throw new RefusedException($"{name} has no bindings")).Select(node => ReadBinding(name, node as JsonObject)).ToArray();
        Require(bindings.Count(binding => binding.IsTrigger) == 1, $"{name} has not exactly one trigger");
        Require(bindings.Select(binding => binding.Name).Distinct().Count() == bindings.Length, $"{name} has two bindings of one name");
        var function = new Function(name, bindings);
        Require(function.Trigger.Type == "httpTrigger" == function.Outputs.Any(output => output.Type == "http"), $"{name} has an HTTP trigger without an HTTP answer, or an answer without a trigger");
        return function;
    }

    private static Binding ReadBinding(string function, JsonObject? json)
    {
        var binding = new Binding((string?)json?["type"] ?? "", (string?)json?["direction"] ?? "", (string?)json?["name"] ?? "", json ?? []);
        Require(Required.ContainsKey(binding.Type), $"{function}: '{binding.Type}' is no binding of this bundle");
        Require(binding.Direction == (binding.IsTrigger ? "in" : "out"), $"{function}: a {binding.Type} does not go '{binding.Direction}'");
        Require(BindingName().IsMatch(binding.Name), $"{function}: '{binding.Name}' is no binding's name");
        foreach (var property in Required[binding.Type]) { Require(binding.Json[property] is not null, $"{function}: a {binding.Type} needs {property}"); }
        if (binding.Text("queueName") is { } queue) { Require(QueueName().IsMatch(queue), $"{function}: '{queue}' is no queue's name"); }
        if (binding.Text("schedule") is { } schedule) { Require(schedule.Split(' ').Length == 6, $"{function}: '{schedule}' has not the six fields of a schedule"); }
        if (binding.Type == "httpTrigger")
        {
            Require(binding.Text("authLevel") is "anonymous" or "function" or "admin", $"{function}: '{binding.Text("authLevel")}' is no authLevel");
            Require(binding.Text("route") is not { } route || !route.StartsWith('/') && !route.StartsWith("admin", StringComparison.Ordinal), $"{function}: its route begins with a slash or is the host's own");
        }

        return binding;
    }

    private static JsonObject Parse(string file)
    {
        Require(File.Exists(file), $"there is no {file}");
        try { return JsonNode.Parse(File.ReadAllText(file)) as JsonObject ?? throw new RefusedException($"{file} is no object"); }
        catch (JsonException e) { throw new RefusedException($"{file}: {e.Message}"); }
    }

    private static void Require(bool holds, string otherwise)
    {
        if (!holds) { throw new RefusedException(otherwise); }
    }

    [GeneratedRegex(@"^[A-Za-z][A-Za-z0-9_-]{0,126}$")]
    private static partial Regex FunctionName();

    [GeneratedRegex(@"^[A-Za-z][A-Za-z0-9]{0,127}$|^\$return$")]
    private static partial Regex BindingName();

    [GeneratedRegex(@"^(?!.*--)[a-z0-9][a-z0-9-]{1,61}[a-z0-9]$")]
    private static partial Regex QueueName();

    [GeneratedRegex(@"^\[[0-9.*]+, *[0-9.]+[)\]]$")]
    private static partial Regex BundleRange();

    [GeneratedRegex(@"\{[^}]*\}")]
    private static partial Regex Parameter();
}
