//! The list of all faults becomes the records of them in the ledger, and the way from a record or
//! an experiment's fault to the file that knows it.

/// `node` faults are injected inside a node or at its machine (`NodeFault`), `object` faults
/// through the cluster's API (`ObjectFault`). Each is named after its variant of `Fault` and
/// `FaultKind`.
macro_rules! faults {
    (
        node { $($node:ident in $node_file:ident,)* }
        object { $($object:ident in $object_file:ident,)* }
    ) => {
        /// A fault on a node, with what its undo needs.
        #[derive(Clone, Debug, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
        #[serde(rename_all = "camelCase")]
        pub(crate) enum NodeFaultRecord {
            $($node($node_file::$node),)*
        }

        impl NodeFaultRecord {
            pub(crate) fn kind(&self) -> FaultKind {
                match self { $(Self::$node(_) => FaultKind::$node,)* }
            }

            /// Its kind, and what commands do where it is commands.
            pub(crate) fn name(&self) -> FaultName {
                let effect = match self { $(Self::$node(fault) => fault.effect(),)* };
                effect.map_or_else(|| self.kind().into(), FaultName::from)
            }

            fn plan(plan: &Plan<'_>) -> Result<Self, FaultError> {
                match plan.fault.kind() {
                    $(FaultKind::$node => NodeFault::plan(plan).map(Self::$node),)*
                    $(FaultKind::$object => Err(plan.another_fault()),)*
                }
            }

            async fn check(&self, context: &FaultContext<'_, '_>) -> Result<(), FaultError> {
                match self { $(Self::$node(fault) => fault.check(context).await,)* }
            }

            async fn inject(&self, context: &mut FaultContext<'_, '_>) -> Result<(), FaultError> {
                match self { $(Self::$node(fault) => fault.inject(context).await,)* }
            }

            async fn look(
                &self,
                context: &FaultContext<'_, '_>,
            ) -> Result<Option<Look>, FaultError> {
                match self { $(Self::$node(fault) => fault.look(context).await,)* }
            }

            async fn undo(&self, context: &FaultContext<'_, '_>) -> Result<Undone, FaultError> {
                match self { $(Self::$node(fault) => fault.undo(context).await,)* }
            }

            fn undo_timer(&self) -> Option<&UndoTimer> {
                match self { $(Self::$node(fault) => fault.undo_timer(),)* }
            }

            fn is_slow(&self) -> bool {
                match self { $(Self::$node(_) => <$node_file::$node as NodeFault>::IS_SLOW,)* }
            }

            fn describe(&self, machine: Machine<'_>) -> String {
                match self { $(Self::$node(fault) => fault.describe(machine),)* }
            }

            fn by_hand(&self, machine: Machine<'_>) -> String {
                match self { $(Self::$node(fault) => fault.by_hand(machine),)* }
            }

            /// The part of the control plane that it hits; `None`: the node itself.
            pub(crate) fn component(&self) -> Option<Component> {
                match self { $(Self::$node(fault) => fault.part().map(|part| part.component),)* }
            }

            /// What must work after its undo.
            fn works(&self, role: NodeRole) -> Works {
                match self { $(Self::$node(fault) => Works::of(fault, role),)* }
            }

            pub(crate) fn commands(&self) -> Vec<String> {
                match self { $(Self::$node(fault) => fault.commands(),)* }
            }

            fn pod(&self) -> Option<&str> {
                match self { $(Self::$node(fault) => fault.pod(),)* }
            }
        }

        /// A fault on an object of the cluster, with what its undo needs.
        #[derive(Clone, Debug, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
        #[serde(rename_all = "camelCase")]
        pub(crate) enum ObjectFaultRecord {
            $($object(object::$object_file::$object),)*
        }

        impl ObjectFaultRecord {
            pub(crate) fn kind(&self) -> FaultKind {
                match self { $(Self::$object(_) => FaultKind::$object,)* }
            }

            /// Works out the records of a fault, one for each object that it hits.
            pub(crate) async fn plan<L: Lookup>(
                fault: &Fault,
                lookup: &mut L,
            ) -> Result<Vec<Self>, L::Error> {
                match fault.kind() {
                    $(FaultKind::$object => {
                        let all = object::$object_file::$object::plan(fault, lookup).await?;
                        Ok(all.into_iter().map(Self::$object).collect())
                    })*
                    $(FaultKind::$node => Err(object::not_on_objects(fault).into()),)*
                }
            }

            /// The record of a fault through the API on a node; `None`: it is another kind.
            pub(crate) fn plan_on_node(
                fault: &Fault,
                node: &str,
                namespaces: &[String],
            ) -> Option<Self> {
                match fault.kind() {
                    $(FaultKind::$object => {
                        let planned: Option<object::$object_file::$object> =
                            ObjectFault::plan_on_node(fault, node, namespaces);
                        planned.map(Self::$object)
                    })*
                    $(FaultKind::$node => None,)*
                }
            }

            /// What it hits: a node, a pod, a Deployment.
            pub(crate) fn target(&self) -> &str {
                match self { $(Self::$object(fault) => fault.target(),)* }
            }

            /// What it would do now, a sentence each. Errors where it could not.
            pub(crate) async fn outlook(
                &self,
                cluster: &Cluster,
            ) -> Result<Vec<String>, FaultError> {
                match self { $(Self::$object(fault) => fault.outlook(cluster).await,)* }
            }

            async fn inject(&self, context: &mut ObjectContext<'_, '_>) -> Result<(), FaultError> {
                match self { $(Self::$object(fault) => fault.inject(context).await,)* }
            }

            async fn undo(&self, context: &ObjectContext<'_, '_>) -> Result<String, FaultError> {
                match self { $(Self::$object(fault) => fault.undo(context).await,)* }
            }

            /// What the undo does, for people.
            pub(crate) fn describe(&self) -> String {
                match self { $(Self::$object(fault) => fault.describe(),)* }
            }

            fn by_hand(&self, kubectl: &str) -> Option<String> {
                match self { $(Self::$object(fault) => fault.by_hand(kubectl),)* }
            }
        }

        /// How a fault would be undone that names no node, for a dry run. Where the
        /// cluster is there, it is asked and may refuse, as in a run.
        pub(crate) async fn preview_undo(
            fault: &Fault,
            cluster: Option<&Cluster>,
        ) -> Result<Option<String>, FaultError> {
            match fault.kind() {
                $(FaultKind::$object =>
                    <object::$object_file::$object as ObjectFault>::preview(fault, cluster).await,)*
                $(FaultKind::$node =>
                    Ok(<$node_file::$node as NodeFault>::PREVIEW_WITHOUT_NODE.map(str::to_owned)),)*
            }
        }

        /// How long an injection may take, from the call that arms its watchdog until its
        /// effect is confirmed: a timer must not act on what is only slow.
        pub(crate) fn injection_timeout(fault: &Fault) -> Duration {
            COMMAND + match fault.kind() {
                $(FaultKind::$node => <$node_file::$node as NodeFault>::injection_timeout(fault),)*
                $(FaultKind::$object =>
                    <object::$object_file::$object as ObjectFault>::injection_timeout(fault),)*
            }
        }

        /// How long an undo may take until it is verified, where Docker and the API server answer.
        pub(crate) fn undo_timeout(fault: &Fault) -> Duration {
            unverified_undo_timeout(fault) + match fault.kind() {
                $(FaultKind::$node => works::LIMIT * 2,)*
                $(FaultKind::$object => Duration::ZERO,)*
            }
        }

        /// The same until the undo of the next target begins: all are verified after all undos.
        pub(crate) fn unverified_undo_timeout(fault: &Fault) -> Duration {
            COMMAND + match fault.kind() {
                $(FaultKind::$node => <$node_file::$node as NodeFault>::undo_timeout(fault),)*
                $(FaultKind::$object =>
                    <object::$object_file::$object as ObjectFault>::undo_timeout(fault),)*
            }
        }

        /// What the fault is to the model behind an embedded cluster; `None`: it is not modelled.
        pub(crate) fn modelled(fault: &Fault, node: ModelNode<'_>) -> Option<Modelled> {
            match fault.kind() {
                $(FaultKind::$node => <$node_file::$node as NodeFault>::modelled(fault, node),)*
                $(FaultKind::$object => None,)*
            }
        }

        /// Whether an embedded cluster can carry it out.
        pub(crate) fn runs_embedded(fault: &Fault) -> bool {
            match fault.kind() {
                $(FaultKind::$object =>
                    <object::$object_file::$object as ObjectFault>::RUNS_EMBEDDED,)*
                _ => modelled(fault, ModelNode { id: NodeId(0), name: "" }).is_some(),
            }
        }
    };
}

pub(super) use faults;
