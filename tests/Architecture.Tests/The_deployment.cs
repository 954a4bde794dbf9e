using System.Diagnostics;
using System.Reflection;
using System.Text.Json.Nodes;
using System.Text.RegularExpressions;

namespace Platform.Architecture.Tests;

/// <summary>infra/bicep, compiled by the real compiler, beside the program and the functions that it deploys.</summary>
public sealed partial class The_deployment
{
    private static readonly string Infra = Path.Combine(Repository.Root, "infra", "bicep");
    private static readonly string CloudFunctions = Path.Combine(Repository.Root, "src", "CloudFunctions");
    private static readonly Lazy<Task<JsonNode>> Template = new(() => Compile("main.production.bicepparam"));

    /// <summary>The host sets them for the program, or reads them itself.</summary>
    private static readonly string[] OfTheHost = ["FUNCTIONS_CUSTOMHANDLER_PORT", "AzureFunctionsJobHost__functionTimeout"];

    [Fact]
    public async Task compiles_without_a_warning_and_so_do_its_parameters()
    {
        var templates = await Task.WhenAll(Template.Value, Compile("main.trial.bicepparam"));
        Assert.True(JsonNode.DeepEquals(templates[0], templates[1]));
        Assert.Equal(2, Directory.GetFiles(Infra, "*.bicepparam").Length);
    }

    [Fact]
    public async Task sets_every_setting_that_the_program_reads_and_no_other_of_its_own()
    {
        var read = ReadSetting().Matches(await File.ReadAllTextAsync(Path.Combine(CloudFunctions, "Settings.cs"), TestContext.Current.CancellationToken)).Select(match => match.Groups[1].Value).ToHashSet();
        var set = Named(await Template.Value, "appSettings").Single().AsArray().Select(setting => (string)setting!["name"]!).ToHashSet();
        Assert.Superset(OfTheHost.ToHashSet(), read);
        Assert.Equal(read.Except(OfTheHost).Order(), set.Where(name => name.StartsWith("PLATFORM_", StringComparison.Ordinal)).Order());
    }

    [Fact]
    public async Task mounts_the_share_where_the_program_looks_for_it()
    {
        var template = await Template.Value;
        var mounted = Assert.Single(Named(template, "mountPath")).ToString();
        var folder = Named(template, "appSettings").Single().AsArray().Single(setting => (string?)setting!["name"] == "PLATFORM_DATA")!["value"]!.ToString();
        Assert.Equal(mounted, folder);
    }

    [Fact]
    public async Task makes_the_queue_that_the_functions_use_under_the_connection_that_the_app_has()
    {
        var template = await Template.Value;
        var made = Named(template, "queueName").Select(name => name.ToString()).Distinct().ToArray();
        var bindings = Functions().SelectMany(function => function.Bindings).Where(binding => binding["queueName"] is not null).ToArray();
        Assert.NotEmpty(bindings);
        Assert.Equal(bindings.Select(binding => (string)binding["queueName"]!).Distinct(), made);
        var settings = Named(template, "appSettings").Single().AsArray().Select(setting => (string)setting!["name"]!).ToArray();
        Assert.All(bindings, binding => Assert.Contains($"{(string)binding["connection"]!}__accountName", settings));
    }

    [Fact]
    public async Task has_a_function_for_every_path_that_the_program_answers_to()
    {
        var api = Hosting.Http.HttpApi.Endpoints.Select(endpoint => $"{endpoint.Method} {endpoint.Pattern}").Order();
        var offered = Functions().SelectMany(function => function.Bindings).Where(binding => (string?)binding["type"] == "httpTrigger").Select(binding => $"{((string)binding["methods"]![0]!).ToUpperInvariant()} /{binding["route"]}");
        Assert.Equal(api, offered.Order());

        // Whoever has another binding beside HTTP comes as an envelope, under his own name.
        var named = MappedName().Matches(await File.ReadAllTextAsync(Path.Combine(CloudFunctions, "Triggers.cs"), TestContext.Current.CancellationToken)).Select(match => match.Groups[1].Value);
        Assert.Equal(Functions().Where(function => function.Bindings.Any(binding => (string?)binding["type"] is not ("httpTrigger" or "http"))).Select(function => function.Name).Order(), named.Order());
    }

    private static IEnumerable<(string Name, IReadOnlyList<JsonNode> Bindings)> Functions() =>
        Directory.EnumerateDirectories(CloudFunctions).Select(folder => Path.Combine(folder, "function.json")).Where(File.Exists)
            .Select(file => (Path.GetFileName(Path.GetDirectoryName(file))!, (IReadOnlyList<JsonNode>)[.. JsonNode.Parse(File.ReadAllText(file))!["bindings"]!.AsArray().Select(binding => binding!)]));

    /// <summary>Every value of this name, however deep.</summary>
    private static IEnumerable<JsonNode> Named(JsonNode? node, string name) => node switch
    {
        JsonObject members => members.Where(member => member.Key == name && member.Value is not null).Select(member => member.Value!).Concat(members.SelectMany(member => Named(member.Value, name))),
        JsonArray items => items.SelectMany(item => Named(item, name)),
        _ => [],
    };

    /// <returns>The template that the parameters are for.</returns>
    private static async Task<JsonNode> Compile(string parameters)
    {
        var compiler = typeof(The_deployment).Assembly.GetCustomAttributes<AssemblyMetadataAttribute>().Single(data => data.Key == "Bicep").Value!;
        var start = new ProcessStartInfo(compiler) { RedirectStandardOutput = true, RedirectStandardError = true, WorkingDirectory = Infra };
        foreach (var argument in (string[])["build-params", parameters, "--stdout"]) { start.ArgumentList.Add(argument); }
        start.Environment["DOTNET_SYSTEM_GLOBALIZATION_INVARIANT"] = "1";
        start.Environment["PLATFORM_POSTGRES_PASSWORD"] = new string('x', 64);
        using var process = Process.Start(start)!;
        var error = process.StandardError.ReadToEndAsync(TestContext.Current.CancellationToken);
        var output = await process.StandardOutput.ReadToEndAsync(TestContext.Current.CancellationToken);
        await process.WaitForExitAsync(TestContext.Current.CancellationToken);
        Assert.Equal("", await error);
        Assert.Equal(0, process.ExitCode);
        return JsonNode.Parse((string)JsonNode.Parse(output)!["templateJson"]!)!;
    }

    [GeneratedRegex(@"(?:variable\(|Required\(variable, )""(\w+)""")]
    private static partial Regex ReadSetting();

    [GeneratedRegex(@"(?:MapPost\(""/|\["")([A-Z]\w+)""")]
    private static partial Regex MappedName();
}
