using System.Xml.Linq;

namespace Platform.Architecture.Tests;

/// <summary>The arrows between projects, as docs/ARCHITECTURE.md states them. Nothing else is allowed.</summary>
public sealed class The_house
{
    private static readonly Dictionary<string, string[]> Arrows = new()
    {
        ["Messaging"] = [],
        ["Messaging.Generators"] = [],
        ["EmbeddedPostgres"] = [],
        ["EventStore"] = ["Messaging"],
        ["Domain"] = ["Messaging", "Messaging.Generators"],
        ["Projections"] = ["Domain", "Messaging.Generators"],
        ["Capabilities"] = ["Domain"],
        ["GpuKernels"] = [],
        ["Inference"] = ["Domain", "GpuKernels"],
        ["Hosting"] = ["Domain", "Projections", "Messaging", "EventStore", "Capabilities", "Inference", "GpuKernels"],
        ["SelfHost"] = ["Hosting", "EmbeddedPostgres"],
        ["CloudFunctions"] = ["Hosting"],
    };

    [Fact]
    public void has_these_projects_and_these_arrows_only()
    {
        var found = Directory.EnumerateFiles(Path.Combine(Repository.Root, "src"), "*.csproj", SearchOption.AllDirectories)
            .ToDictionary(file => Path.GetFileNameWithoutExtension(file)!, References);

        Assert.Equal(Arrows.Keys.Order(), found.Keys.Order());
        foreach (var (project, references) in found) { Assert.Empty(references.Except(Arrows[project])); }
    }

    [Fact]
    public void keeps_postgres_and_the_web_out_of_domain_and_projections()
    {
        foreach (var assembly in (System.Reflection.Assembly[])[typeof(Domain.Daemons.IScriptSandbox).Assembly, System.Reflection.Assembly.Load("Platform.Projections")])
        {
            var names = assembly.GetReferencedAssemblies().Select(name => name.Name!).ToArray();
            Assert.DoesNotContain(names, name => name.StartsWith("Npgsql", StringComparison.Ordinal) || name.StartsWith("Microsoft.AspNetCore", StringComparison.Ordinal) || name == "System.Net.Http");
        }
    }

    [Fact]
    public void knows_areas_of_the_domain_only_through_messages()
    {
        var domain = typeof(Domain.Daemons.IScriptSandbox).Assembly;
        var states = domain.GetTypes().Where(IsState).ToHashSet();
        var wrong =
            from handler in domain.GetTypes()
            where handler is { IsAbstract: true, IsSealed: true } && handler.Name.EndsWith("Handler", StringComparison.Ordinal)
            from method in handler.GetMethods(System.Reflection.BindingFlags.Public | System.Reflection.BindingFlags.Static)
            from parameter in method.GetParameters()
            where states.Contains(parameter.ParameterType) && Area(parameter.ParameterType) != Area(handler)
            select $"{handler.Name}.{method.Name} takes {parameter.ParameterType.Name} of another area";
        Assert.Empty(wrong);
    }

    [Fact]
    public void is_described_with_files_that_exist()
    {
        var text = File.ReadAllText(Path.Combine(Repository.Root, "docs", "ARCHITECTURE.md"));
        var named = System.Text.RegularExpressions.Regex.Matches(text, @"`((?:src|tests|docs|bench|examples|infra)/[A-Za-z0-9_./-]+)`").Select(match => match.Groups[1].Value).Distinct().ToArray();
        Assert.NotEmpty(named);
        Assert.All(named, path => Assert.True(Path.Exists(Path.Combine(Repository.Root, path)), $"{path} does not exist"));
    }

    private static bool IsState(Type type) =>
        type.CustomAttributes.Any(attribute => attribute.AttributeType.IsGenericType && attribute.AttributeType.GetGenericTypeDefinition() == typeof(Messaging.StreamAttribute<>));

    /// <summary>Platform.Domain.AREA...</summary>
    private static string Area(Type type) => type.Namespace!.Split('.').ElementAtOrDefault(2) ?? "";

    private static string[] References(string project) =>
        [.. XDocument.Load(project).Descendants("ProjectReference").Select(reference => Path.GetFileNameWithoutExtension((string)reference.Attribute("Include")!))];
}
