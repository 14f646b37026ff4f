"""The performance monitor, as a manager offers it."""

from __future__ import annotations

from conpaas.features.monitoring.charts import NODE, Chart, Rate
from conpaas.rpc import expose
from conpaas_mysql import charts
from conpaas_mysql.looking import GLB, MYSQL, LookingManager, ordered
from conpaas_mysql.performance import NodePerformance, Rates, performance_of

#: Seconds that rates are means of, and of how many points.
_SPAN, _POINTS = 60.0, 6


class PerformanceManager(LookingManager):
    """Tells how each node is doing; it asks none, but looks at what they have measured."""

    def charts(self) -> tuple[Chart, ...]:
        """Return the charts of the cluster, then those of the machines."""
        return (*charts.charts(), *super().charts())

    def kept_metrics(self) -> frozenset[str]:
        """Return what is looked at beside charts."""
        return super().kept_metrics() | charts.LOOKED_AT

    @expose(reads=True)
    def get_performance(self) -> list[NodePerformance]:
        """Show how each node is doing in the last minute, and what is abnormal."""
        _, told = self.place.samples.latest()
        rates = self._rates()
        nodes = [*self.nodes, *self.place.nodes.lost(), *self.place.nodes.leaving()]
        return [
            performance_of(node, told.get(node.id), rates.get(node.id, Rates()))
            for role in (MYSQL, GLB)
            for node in ordered(nodes, role)
        ]

    def _rates(self) -> dict[str, Rates]:
        _, figures = self.place.samples.last(_SPAN, _POINTS)

        def by_node(metric: str, **where: str) -> dict[str, float]:
            lines = figures.line(Rate(metric, by=NODE, where=where))
            found = {node: [v for v in line if v is not None] for node, line in lines.items()}
            return {node: sum(there) / len(there) for node, there in found.items() if there}

        cpu, queries = by_node(charts.CPU), by_node(charts.QUESTIONS)
        sessions = by_node(charts.SESSIONS)
        came, went = (
            by_node(charts.NETWORK, direction="in"),
            by_node(charts.NETWORK, direction="out"),
        )
        return {
            node: Rates(
                cpu.get(node),
                came.get(node),
                went.get(node),
                queries.get(node),
                sessions.get(node),
            )
            for node in cpu.keys() | came.keys() | queries.keys() | sessions.keys()
        }
